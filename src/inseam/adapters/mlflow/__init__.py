"""MLflow, behind our ports."""
