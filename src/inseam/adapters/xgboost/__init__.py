"""XGBoost, behind our ports."""
