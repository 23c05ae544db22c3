"""scikit-learn, behind our ports."""
