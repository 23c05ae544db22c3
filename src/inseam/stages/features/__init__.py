"""The room where features are computed, written and read."""
