"""The ledger on SQLite (one machine) and PostgreSQL (many)."""
