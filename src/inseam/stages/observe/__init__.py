"""Observe: what was served is held against what the definition gives."""
