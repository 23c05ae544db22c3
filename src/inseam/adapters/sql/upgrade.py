"""Brings a ledger's schema to the newest revision when it is opened, once, however many open it at the same time."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from inseam.adapters.sql.database import Database
from inseam.adapters.sql.tables import VERSION_TABLE
from inseam.kernel.errors import SettingError

HEAD = "0007"
"""The newest revision, repeated here so that opening a ledger need not import Alembic; a test compares the two."""
SCRIPTS = Path(__file__).parent / "migrations"
_LOCK = 0x1A5EA3
"""The advisory lock under which PostgreSQL is upgraded; SQLite's writer lock needs no name."""


def upgrade(database: Database) -> None:
    """`SettingError` when a newer Inseam has already upgraded this ledger beyond what this one knows."""
    if database.read(revision) != HEAD:
        database.transact(lambda connection: _upgrade(connection, database.name))


def revision(connection: Connection) -> str | None:
    """The schema's revision, None for an empty database."""
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    table = sa.table(VERSION_TABLE, sa.column("version_num"))
    return connection.execute(sa.select(table.c.version_num)).scalar_one_or_none()


def _upgrade(connection: Connection, name: str) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    found = revision(connection)
    if found == HEAD:
        return
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    if found is not None and found not in {s.revision for s in ScriptDirectory.from_config(config).walk_revisions()}:
        raise SettingError(
            "ledger",
            f"{name} has schema revision {found}, which this version of Inseam does not know",
            expected=f"revision {HEAD} or older",
            mend="upgrade Inseam, or name another ledger",
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
