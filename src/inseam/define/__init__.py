"""What users write: one frozen declaration a thing, no I/O, no engine."""
