"""Training: from a written training set to a registered model version."""
