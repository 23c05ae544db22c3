"""The online store on PostgreSQL: for a team that has one already and no Redis."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict

from inseam.adapters.postgres import statements
from inseam.adapters.postgres.connection import Connection, faults, is_lost, is_lost_race, is_missing
from inseam.kernel.errors import ConflictError, SettingError
from inseam.ports.online import OnlineStore, is_free
from inseam.ports.pool import Pool
from inseam.ports.server_url import UrlOptions, shown

T = TypeVar("T")
_READ_SECONDS, _WRITE_SECONDS = 0.25, 60.0
_CONNECTIONS = 8
_ATTEMPTS = 8


class PostgresStore(OnlineStore):
    """`inseam.ports.online.OnlineStore` at a URL; ``namespace`` keeps apart those who share a database.

    A read is one statement, so it sees one state of all tables; a write is one transaction, its mark included.
    The URL may say ``timeout`` (of a read, 250ms) and ``connections`` (the most, 8) beside the options of libpq.
    """

    is_shared = True
    is_one_state = True

    def __init__(self, url: str | Path, *, namespace: str = "") -> None:
        self._given = str(url), namespace
        options = UrlOptions(url, ("timeout", "connections"))
        _check(options.url)
        self._name = shown(options.url)
        self._subject = f"online store {self._name}"
        self._read_seconds = options.seconds("timeout") or _READ_SECONDS
        self._write_seconds = max(self._read_seconds, _WRITE_SECONDS)
        self._pool = Pool(partial(Connection.open, options.url), options.number("connections") or _CONNECTIONS)
        self._namespace = namespace
        self._statements = statements.Statements(namespace)
        self._known: frozenset[str] = frozenset()
        """Tables that were there when last looked; one that was dropped since is found missing and forgotten."""
        self._is_closed = False

    def __reduce__(self) -> tuple[Any, ...]:
        url, namespace = self._given
        return partial(PostgresStore, namespace=namespace), (url,)

    def __repr__(self) -> str:
        return f"PostgresStore({self._name!r})"

    def read(self, tables: Sequence[str], keys: Sequence[Sequence[bytes]]) -> list[list[bytes | None]]:
        def find(connection: Connection) -> list[list[bytes | None]]:
            if not self._known.issuperset(tables):
                self._look(connection)
            try:
                return self._select(connection, tables, keys)
            except psycopg.Error as error:
                if not is_missing(error):
                    raise
            self._look(connection)  # one was dropped meanwhile
            return self._select(connection, tables, keys)

        return self._run(find, self._read_seconds)

    def write(
        self,
        table: str,
        rows: Sequence[tuple[bytes, bytes | None]],
        mark: bytes | None = None,
        *,
        over: Collection[bytes | None] = (),
    ) -> None:
        def put(connection: Connection) -> None:
            try:
                self._put(connection, table, rows, mark, over, is_new=table not in self._known)
            except psycopg.Error as error:
                if not is_missing(error):
                    raise
                self._put(connection, table, rows, mark, over, is_new=True)

        self._run(put, self._write_seconds)
        self._known |= {table}

    def mark(self, table: str) -> bytes | None:
        def find(connection: Connection) -> bytes | None:
            cursor = connection.cursor(binary=True)
            found = cursor.execute(statements.MARK, (self._namespace, table), prepare=True).fetchone()
            return None if found is None else found[0]

        return self._run(_if_there(find, None), self._read_seconds)

    def count(self, table: str) -> int:
        def count(connection: Connection) -> int:
            return int(connection.execute(self._statements.count(table)).fetchall()[0][0])

        return self._run(_if_there(count, 0), self._write_seconds)

    def tables(self) -> Mapping[str, int]:
        def sizes(connection: Connection) -> dict[str, int]:
            names = sorted(name for (name,) in connection.execute(statements.NAMES, (self._namespace,)))
            return {name: connection.execute(self._statements.size(name)).fetchall()[0][0] for name in names}

        return self._run(_if_there(sizes, {}), self._write_seconds)

    def drop(self, table: str) -> None:
        def destroy(connection: Connection) -> None:
            with connection.transaction():
                connection.execute(statements.LOCK)
                connection.execute(self._statements.drop(table))
                connection.execute(statements.UNLIST, (self._namespace, table))

        self._run(_if_there(destroy, None), self._write_seconds)
        self._known -= {table}

    def close(self) -> None:
        self._is_closed = True
        self._pool.close()

    def _look(self, connection: Connection) -> None:
        def names(connection: Connection) -> set[str]:
            return {name for (name,) in connection.execute(statements.NAMES, (self._namespace,))}

        nothing: set[str] = set()
        self._known = frozenset(_if_there(names, nothing)(connection))

    def _select(
        self, connection: Connection, tables: Sequence[str], keys: Sequence[Sequence[bytes]]
    ) -> list[list[bytes | None]]:
        places = [place for place, table in enumerate(tables) if table in self._known]
        found: list[dict[bytes, bytes]] = [{} for _ in tables]
        if places:
            statement = self._statements.select(tuple(tables[place] for place in places))
            asked = [list(keys[place]) for place in places]
            for number, key, row in connection.cursor(binary=True).execute(statement, asked, prepare=True):
                found[places[number]][key] = row
        return [[rows.get(key) for key in asked] for rows, asked in zip(found, keys, strict=True)]

    def _put(
        self,
        connection: Connection,
        table: str,
        rows: Sequence[tuple[bytes, bytes | None]],
        mark: bytes | None,
        over: Collection[bytes | None],
        *,
        is_new: bool,
    ) -> None:
        with connection.transaction(), connection.cursor() as cursor:
            if is_new:
                cursor.execute(statements.LOCK)
                cursor.execute(statements.SETUP)
                cursor.execute(self._statements.create(table))
                cursor.execute(statements.LIST, (self._namespace, table))
            if over and not is_free(table, mark, over, self._held_mark(cursor, table)):
                return
            if rows:
                cursor.execute(statements.STAGE)
                with cursor.copy(statements.COPY) as copy:
                    copy.set_types(("bytea", "bytea"))
                    for row in rows:
                        copy.write_row(row)
                cursor.execute(self._statements.put(table))
                cursor.execute(self._statements.take_out(table))
            if mark is not None:
                cursor.execute(statements.SET_MARK, (mark, self._namespace, table))

    def _held_mark(self, cursor: psycopg.Cursor[Any], table: str) -> bytes | None:
        """The mark, which nobody else changes before this transaction ends."""
        found = cursor.execute(statements.HELD_MARK, (self._namespace, table)).fetchone()
        return None if found is None else found[0]

    def _run(self, work: Callable[[Connection], T], seconds: float) -> T:
        """``work`` on a connection; again when the connection had died, or another transaction got in the way."""
        if self._is_closed:
            raise SettingError(self._subject, "it was closed")
        deadline = time.monotonic() + seconds
        with faults(self._name):
            for attempt in range(_ATTEMPTS):
                try:
                    with self._pool.borrow(deadline) as connection:
                        connection.deadline = deadline
                        return work(connection)
                except psycopg.Error as error:
                    if is_lost_race(error):
                        time.sleep(0.01 * 2**attempt)
                    elif is_lost(error) and attempt == 0:
                        self._pool.close()  # a server that was restarted: idle connections are as dead as this one
                    else:
                        raise
        raise ConflictError(self._subject, f"other transactions got in the way {_ATTEMPTS} times", mend="try again")


def _if_there(work: Callable[[Connection], T], absent: T) -> Callable[[Connection], T]:
    """``work``, or ``absent`` where nothing was ever written or all of it was dropped."""

    def attempt(connection: Connection) -> T:
        try:
            return work(connection)
        except psycopg.Error as error:
            if is_missing(error):
                return absent
            raise

    return attempt


def _check(url: str) -> None:
    """`SettingError`, which never shows the URL, for one that names no PostgreSQL."""
    try:
        conninfo_to_dict(url)
        is_known = url.startswith(("postgresql://", "postgres://"))
    except psycopg.ProgrammingError:
        is_known = False
    if not is_known:
        raise SettingError("online_url", "it names no PostgreSQL", expected="postgresql://USER@HOST:PORT/DATABASE")
