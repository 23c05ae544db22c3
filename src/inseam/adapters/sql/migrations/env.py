"""Alembic's entry: runs revisions in the transaction of the connection that it is handed."""

from __future__ import annotations

from alembic import context

from inseam.adapters.sql.tables import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    # SQLite cannot alter a column in place: the table is copied.
    render_as_batch=True,
)
context.run_migrations()
