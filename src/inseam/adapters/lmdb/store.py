"""The online store on LMDB: memory-mapped, one file, read by all processes of the machine while one writes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

from inseam.adapters.lmdb.environment import acquire, release, table_names
from inseam.kernel.errors import RefusedError
from inseam.ports.online import is_free

_MARKS = "#marks"
"""The table of marks: no view's name has a ``#``."""


class LmdbStore:
    """`inseam.ports.online.OnlineStore` in a directory.

    Readers never wait for the writer nor it for them; writers of several processes take turns. A read-only store may be
    opened before anything was written: it is empty until then. ``map_size_bytes`` is where the map starts: it grows.
    """

    is_shared = False
    is_one_state = True

    def __init__(self, path: Path, *, map_size_bytes: int = 1 << 30, is_readonly: bool = False) -> None:
        self._is_readonly = is_readonly
        self._environment = acquire(Path(path), map_size_bytes, is_readonly=is_readonly)
        self._is_closed = False

    def write(
        self,
        table: str,
        rows: Sequence[tuple[bytes, bytes | None]],
        mark: bytes | None = None,
        *,
        over: Collection[bytes | None] = (),
    ) -> None:
        self._may_write()
        kept = [(key, row) for key, row in rows if row is not None]
        gone = [key for key, row in rows if row is None]

        def put(transaction: Any, handles: list[Any]) -> None:
            if not is_free(table, mark, over, transaction.get(table.encode(), db=handles[1])):
                return
            transaction.cursor(handles[0]).putmulti(kept)
            for key in gone:
                transaction.delete(key, db=handles[0])
            if mark is not None:
                transaction.put(table.encode(), mark, db=handles[1])

        self._environment.change((table, _MARKS), put)

    def read(self, tables: Sequence[str], keys: Sequence[Sequence[bytes]]) -> list[list[bytes | None]]:
        found = self._environment.view(tables, _get, keys)
        return [[None] * len(asked) for asked in keys] if found is None else found

    def one(self, tables: tuple[str, ...], keys: Sequence[bytes]) -> list[bytes | None]:
        return self._environment.one(tables, keys)

    def mark(self, table: str) -> bytes | None:
        return self.read((_MARKS,), ((table.encode(),),))[0][0]

    def count(self, table: str) -> int:
        return self._stat(table).get("entries", 0)

    def tables(self) -> Mapping[str, int]:
        names = self._environment.view((), table_names) or []
        return {name: self._bytes(name) for name in names if not name.startswith("#")}

    def drop(self, table: str) -> None:
        self._may_write()
        if table not in self.tables():
            return

        def destroy(transaction: Any, handles: list[Any]) -> None:
            transaction.delete(table.encode(), db=handles[1])
            transaction.drop(handles[0])

        self._environment.change((table, _MARKS), destroy)
        self._environment.forget(table)

    def wipe(self) -> None:
        """`inseam.ports.wiping.Wiping`."""
        self._may_write()
        self._environment.wipe()

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            release(self._environment)

    def _bytes(self, table: str) -> int:
        stat = self._stat(table)
        pages = (stat.get(kind, 0) for kind in ("branch_pages", "leaf_pages", "overflow_pages"))
        return stat.get("psize", 0) * sum(pages)

    def _stat(self, table: str) -> dict[str, int]:
        def stat(transaction: Any, handles: list[Any]) -> dict[str, int]:
            is_there = transaction.get(table.encode()) is not None  # the handle outlives a drop by another process
            return dict(transaction.stat(handles[0])) if is_there else {}

        return self._environment.view((table,), stat) or {}

    def _may_write(self) -> None:
        if self._is_readonly:
            raise RefusedError(str(self._environment.path), "this online store was opened for reading only")


def _get(transaction: Any, handles: list[Any], keys: Sequence[Sequence[bytes]]) -> list[list[bytes | None]]:
    # One plain get a key: measured faster than a cursor's getmulti, which drops missing keys from its answer.
    find, nothing = transaction.get, repeat(None)
    return [
        [None] * len(asked) if handle is None else list(map(find, asked, nothing, repeat(handle)))
        for handle, asked in zip(handles, keys, strict=True)
    ]
