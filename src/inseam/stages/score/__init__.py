"""The room where models are asked in bulk."""
