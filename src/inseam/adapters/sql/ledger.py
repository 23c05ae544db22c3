"""`Ledger` over SQLAlchemy Core, on SQLite and PostgreSQL."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine import Connection

from inseam.adapters.sql.conflict import insert_if_free, upsert
from inseam.adapters.sql.database import Database
from inseam.adapters.sql.lease import lease
from inseam.adapters.sql.tables import ORDER, TABLES, field_names, mapping_fields
from inseam.adapters.sql.upgrade import upgrade
from inseam.adapters.sql.watch import Watch
from inseam.kernel.errors import ConflictError
from inseam.ports.ledger import Lease

R = TypeVar("R")


class SqlLedger:
    """``url``: ``sqlite:///FILE`` or ``postgresql://USER@HOST/DATABASE``.

    Opening creates the database's tables, or upgrades them. What a method has returned from is on disk. Threads may
    share a ledger, and it may be carried across a fork.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url)
        self._watch = Watch(self._database)
        upgrade(self._database)

    def insert(self, *records: Any) -> None:
        try:
            self._database.transact(lambda connection: _insert(connection, records))
        except exc.IntegrityError as error:
            raise self._conflict(records) from error

    def put(self, *records: Any) -> None:
        self._database.transact(lambda connection: _put(connection, records))

    def swap(self, expected: R | None, record: R, *also: Any) -> bool:
        return self._database.transact(lambda connection: _swap(connection, expected, record, also))

    def get(self, kind: type[R], *key: Any) -> R | None:
        fields: tuple[str, ...] = kind.KEY  # type: ignore[attr-defined]
        if len(key) != len(fields):
            raise TypeError(f"the key of {kind.__name__} is {fields}")
        found = self.select(kind, **dict(zip(fields, key, strict=True)))
        return found[0] if found else None

    def select(self, kind: type[R], **equal: Any) -> list[R]:
        table = TABLES[kind]
        if wrong := set(equal) & set(mapping_fields(kind)) or set(equal) - set(field_names(kind)):
            raise TypeError(f"records of {kind.__name__} cannot be selected by {', '.join(sorted(wrong))}")
        query = _fields(kind).where(*(_is(table.c[name], value) for name, value in equal.items()))
        query = query.order_by(table.c[ORDER])
        return self._database.read(lambda connection: [kind(*row) for row in connection.execute(query)])

    def delete(self, *records: Any) -> None:
        def work(connection: Connection) -> None:
            for record in records:
                connection.execute(sa.delete(TABLES[type(record)]).where(*_is_key_of(record)))

        self._database.transact(work)

    def lease(self, name: str, *, wait_seconds: float = 0.0) -> AbstractContextManager[Lease]:
        return lease(self._database, name, wait_seconds)

    def changed(self) -> int:
        """A number that differs from the last call's when anything may have been written since, by anybody.

        Cheap enough to ask many times a second; numbers of different processes cannot be compared.
        """
        return self._watch.state()

    def close(self) -> None:
        """Close the connections. The ledger opens new ones when it is used again."""
        self._watch.close()
        self._database.close()

    def _conflict(self, records: Sequence[Any]) -> ConflictError:
        for record in records:
            key = {name: getattr(record, name) for name in record.KEY}
            if self.get(type(record), *key.values()) is not None:
                named = ", ".join(f"{name}={value!r}" for name, value in key.items())
                return ConflictError(f"{type(record).__name__}({named})", "this record is already in the ledger")
        return ConflictError(type(records[0]).__name__, "two of the records to insert have the same key")


def _fields(kind: type[Any]) -> sa.Select[Any]:
    return sa.select(*(TABLES[kind].c[name] for name in field_names(kind)))


def _is(column: sa.Column[Any], value: Any) -> sa.ColumnElement[bool]:
    return column.is_(None) if value is None else column == value


def _is_key_of(record: Any) -> Iterable[sa.ColumnElement[bool]]:
    table = TABLES[type(record)]
    return (_is(table.c[name], getattr(record, name)) for name in record.KEY)


def _values(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in field_names(type(record))}


def _by_kind(records: Iterable[Any]) -> Mapping[type[Any], list[dict[str, Any]]]:
    grouped: dict[type[Any], list[dict[str, Any]]] = {}
    for record in records:
        grouped.setdefault(type(record), []).append(_values(record))
    return grouped


def _insert(connection: Connection, records: Iterable[Any]) -> None:
    for kind, rows in _by_kind(records).items():
        connection.execute(sa.insert(TABLES[kind]), rows)


def _put(connection: Connection, records: Iterable[Any]) -> None:
    for kind, rows in _by_kind(records).items():
        upsert(connection, TABLES[kind], kind.KEY, rows)


def _swap(connection: Connection, expected: Any, record: Any, also: Iterable[Any]) -> bool:
    if expected is None:
        if not insert_if_free(connection, TABLES[type(record)], _values(record)):
            return False
    else:
        query = _fields(type(record)).where(*_is_key_of(record)).with_for_update()
        found = connection.execute(query).one_or_none()
        if found is None or type(record)(*found) != _as_stored(expected):
            return False
        _put(connection, [record])
    _put(connection, also)
    return True


def _as_stored(record: Any) -> Any:
    """The record as it would be read back: JSON knows no tuples, and no keys but text."""
    mappings = {name: json.loads(json.dumps(getattr(record, name))) for name in mapping_fields(type(record))}
    return dataclasses.replace(record, **mappings)
