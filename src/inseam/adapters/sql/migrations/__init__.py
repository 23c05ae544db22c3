"""The ledger's schema, revision by revision (Alembic). `inseam.adapters.sql.upgrade` applies them."""
