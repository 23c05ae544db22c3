"""Which tables of PostgreSQL hold what, and the statements on them.

    inseam_online.tables        a row a table: namespace, name, mark
    inseam_online.rows_DIGEST   key -> row of one of them

A table each: dropping one is a moment's work and leaves nothing to vacuum, and it was measured to be written a third
faster than one table with the name in its key, and read as fast. Half of each page is left free: a
materialization that replaces every row puts the new ones beside the old and touches no index.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

SETUP = """
    CREATE SCHEMA IF NOT EXISTS inseam_online;
    CREATE TABLE IF NOT EXISTS inseam_online.tables
        (namespace text, name text, mark bytea, PRIMARY KEY (namespace, name))
"""
LOCK = "SELECT pg_advisory_xact_lock(5279417563028841)"
"""Serialises those who make and drop tables: IF NOT EXISTS alone fails when two come at once."""
STAGE = "CREATE TEMP TABLE IF NOT EXISTS inseam_stage (key bytea, line bytea) ON COMMIT DELETE ROWS"
COPY = "COPY inseam_stage FROM STDIN (FORMAT binary)"
LIST = "INSERT INTO inseam_online.tables VALUES (%s, %s) ON CONFLICT DO NOTHING"
UNLIST = "DELETE FROM inseam_online.tables WHERE namespace = %s AND name = %s"
SET_MARK = "UPDATE inseam_online.tables SET mark = %s WHERE namespace = %s AND name = %s"
MARK = "SELECT mark FROM inseam_online.tables WHERE namespace = %s AND name = %s"
HELD_MARK = f"{MARK} FOR UPDATE"
NAMES = "SELECT name FROM inseam_online.tables WHERE namespace = %s"


class Statements:
    """The statements on the tables of one project's environment, which is the ``namespace``."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self.select = lru_cache(maxsize=512)(self._select)

    def rows(self, table: str) -> str:
        digest = blake2b(f"{self._namespace}\0{table}".encode(), digest_size=16).hexdigest()
        return f"inseam_online.rows_{digest}"

    def create(self, table: str) -> str:
        return (
            f"CREATE TABLE IF NOT EXISTS {self.rows(table)} (key bytea PRIMARY KEY, line bytea NOT NULL)"
            " WITH (fillfactor = 50)"
        )

    def drop(self, table: str) -> str:
        return f"DROP TABLE IF EXISTS {self.rows(table)}"

    def put(self, table: str) -> str:
        """From the stage, in the order of keys: two writers meet no deadlock."""
        return (
            f"INSERT INTO {self.rows(table)} SELECT key, line FROM inseam_stage WHERE line IS NOT NULL ORDER BY key"
            " ON CONFLICT (key) DO UPDATE SET line = excluded.line"
        )

    def take_out(self, table: str) -> str:
        return f"DELETE FROM {self.rows(table)} t USING inseam_stage s WHERE s.line IS NULL AND t.key = s.key"

    def count(self, table: str) -> str:
        return f"SELECT count(*) FROM {self.rows(table)}"

    def size(self, table: str) -> str:
        return f"SELECT pg_total_relation_size('{self.rows(table)}')"

    def _select(self, tables: Sequence[str]) -> str:
        """Place of the table, key, row; a parameter a table, its keys."""
        return " UNION ALL ".join(
            f"SELECT {place}, key, line FROM {self.rows(table)} WHERE key = ANY(%b::bytea[])"
            for place, table in enumerate(tables)
        )
