"""Tables as Delta Lake, by delta-rs and pyarrow, without Spark."""
