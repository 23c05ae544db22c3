"""The engine of a cluster: Spark deals rows by key and keeps their order, the sweep answers in its workers."""
