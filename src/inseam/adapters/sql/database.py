"""A database by its URL: connections as the ledger needs them, transactions, and faults in the ledger's words."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine import URL, Connection, Engine, make_url

from inseam.adapters.sql.fork import GUARD
from inseam.kernel.errors import ConflictError, DataError, ExtraMissingError, SettingError

T = TypeVar("T")
BUSY_SECONDS = 60
_AGAIN = ("40001", "40P01")
"""PostgreSQL's states for a transaction that lost to another through no fault of its own: it is run again."""
_ATTEMPTS = 8


class Database:
    """Thread-safe and fork-safe. SQLite: WAL, every commit is synced to disk; PostgreSQL: read committed."""

    def __init__(self, url: str) -> None:
        self.url = _checked(url)
        self.name = self.url.render_as_string(hide_password=True)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.engine = _engine(self.url)
        GUARD.open_databases.add(self)

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` on one consistent state."""
        with GUARD, self._faults(), self.engine.connect() as connection:
            return work(connection)

    def transact(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in one transaction, durable on return. ``work`` may be run again and has no other effect."""
        for attempt in range(_ATTEMPTS):
            try:
                with GUARD, self._faults(), self.engine.connect() as connection:
                    writing = connection.execution_options(writes=True)
                    with writing.begin():
                        return work(writing)
            except _LostRaceError:
                time.sleep(0.01 * 2**attempt)
        raise ConflictError(self.name, f"other transactions got in the way {_ATTEMPTS} times", mend="try again")

    def close(self) -> None:
        """Close the idle connections; the next use opens new ones."""
        self.engine.dispose()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except exc.IntegrityError:
            raise
        except (exc.StatementError, ValueError, TypeError, OverflowError) as error:
            raise self._translated(error) from error

    def _translated(self, error: Exception) -> Exception:
        cause = getattr(error, "orig", None) or error
        text = str(cause).strip().partition("\n")[0]
        if getattr(cause, "sqlstate", None) in _AGAIN:
            return _LostRaceError(text)
        if isinstance(cause, sqlite3.OperationalError) and "locked" in text:
            return ConflictError(
                self.name,
                f"another process has been writing for {BUSY_SECONDS} seconds",
                mend="wait for it to finish, or end it",
            )
        if isinstance(error, exc.OperationalError | exc.InterfaceError) or isinstance(cause, sqlite3.DatabaseError):
            return SettingError("ledger", f"{self.name} cannot be used: {text}", mend="check the ledger's URL")
        if isinstance(error, exc.DBAPIError) and not isinstance(error, exc.DataError):
            return error
        return DataError(
            "ledger",
            f"a record cannot be stored: {text}",
            expected="64-bit integers, text without NUL, and mappings of finite JSON values",
        )


class _LostRaceError(Exception):
    """PostgreSQL rolled this transaction back in favour of another."""


def _checked(url: str) -> URL:
    try:
        parsed = make_url(url)
    except exc.ArgumentError:
        parsed = None
    backend = parsed.get_backend_name() if parsed is not None else ""
    expected = "sqlite:///FILE or postgresql://USER@HOST/DATABASE"
    if parsed is None or backend not in ("sqlite", "postgresql", "postgres"):
        raise SettingError("ledger", f"the URL names no database that can hold a ledger: {backend}", expected=expected)
    if backend != "sqlite":
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.database in (None, "", ":memory:"):
        raise SettingError("ledger", "a ledger in memory would be forgotten", expected=expected)
    return parsed


def _engine(url: URL) -> Engine:
    options: dict[str, Any] = {"json_serializer": partial(json.dumps, allow_nan=False, ensure_ascii=False)}
    if url.get_backend_name() == "sqlite":
        try:
            Path(str(url.database)).absolute().parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingError("ledger", f"its folder cannot be made: {error}") from None
        engine = sa.create_engine(url, connect_args={"timeout": BUSY_SECONDS}, **options)
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
        return engine
    try:
        # A server that was restarted leaves dead connections behind: each is tried before it is used.
        return sa.create_engine(url, pool_pre_ping=True, **options)
    except ModuleNotFoundError as error:
        raise ExtraMissingError.for_library(error.name or "psycopg", "postgres") from None


def _prepare_sqlite(connection: sqlite3.Connection, _: Any) -> None:
    connection.isolation_level = None  # the driver must not begin transactions: `_begin_sqlite` does
    if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        _switch_to_wal(connection)
    connection.execute("PRAGMA secure_delete=ON")  # what was overwritten is not left in the file
    connection.execute("PRAGMA synchronous=FULL")  # a commit that was acknowledged survives a power cut


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Retried by hand, because SQLite does not wait for other processes here."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes its place at the start: a reader that turned into a writer could fail without a chance to wait.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
