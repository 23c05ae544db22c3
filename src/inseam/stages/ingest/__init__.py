"""Ingest: files and query results to accepted rows and quarantined rows, each load once and whole."""
