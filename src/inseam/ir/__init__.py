"""What can be computed and run, as plain immutable data: relations, windows, specs, records. Knows no declaration."""
