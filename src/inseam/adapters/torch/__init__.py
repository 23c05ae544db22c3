"""PyTorch, behind our ports."""
