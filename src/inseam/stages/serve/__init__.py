"""Serving: HTTP in, features looked up, a prediction made, logged durably, answered; and the log compacted."""
