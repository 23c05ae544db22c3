"""A soak: rows are pushed and read while everything that moves them is killed and started again."""
