"""LightGBM, behind our ports."""
