"""Inserts that say what happens when the key is already there, in each database's dialect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection


def _insert(connection: Connection, table: sa.Table) -> Any:
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def insert_if_free(connection: Connection, table: sa.Table, row: Mapping[str, Any]) -> bool:
    """Insert one row and say so; with its key taken, do nothing."""
    some_column = next(iter(table.primary_key.columns))
    statement = _insert(connection, table).values(row).on_conflict_do_nothing().returning(some_column)
    return connection.execute(statement).one_or_none() is not None


def upsert(connection: Connection, table: sa.Table, key: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert each row, or replace the columns of the one with its key."""
    statement = _insert(connection, table)
    others = {name: statement.excluded[name] for name in rows[0] if name not in key}
    if others:
        statement = statement.on_conflict_do_update(index_elements=key, set_=others)
    else:
        statement = statement.on_conflict_do_nothing(index_elements=key)
    connection.execute(statement, rows)
