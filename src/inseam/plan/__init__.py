"""From what was declared to what will be run: resolve, check, lower, compare. Pure functions, no I/O."""
