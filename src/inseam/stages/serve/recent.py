"""The online rows that this process read lately: an answer, where an endpoint allows it, while the store is away."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

Rows = list[list[bytes | None]]


class RecentRows:
    """At most ``rows`` rows of the last ``age_seconds``, those asked for least lately let go first. Thread-safe.

    Two generations: what is read goes into the young one; when that holds half of the rows, or is half as old as a row
    may be, it becomes the old one and the old one is let go. So a read costs one `dict.update` a table.
    """

    def __init__(self, *, rows: int = 100_000, age_seconds: float = 3600.0) -> None:
        self._half = max(1, rows // 2)
        self._age = age_seconds
        self._lock = threading.Lock()
        self._young = _Generation()
        self._old = _Generation()

    def keep(self, tables: Sequence[str], keys: Sequence[Sequence[bytes]], rows: Rows) -> None:
        young = self._young
        if len(young) >= self._half or time.monotonic() - young.since >= self._age / 2:
            young = self._turn(young)
        for table, asked, found in zip(tables, keys, rows, strict=True):
            young.rows.setdefault(table, {}).update(zip(asked, found, strict=True))

    def find(self, tables: Sequence[str], keys: Sequence[Sequence[bytes]]) -> Rows | None:
        """What the last read of each of them found; None when one was not read lately."""
        oldest = time.monotonic() - self._age
        held = [generation.rows for generation in (self._young, self._old) if generation.since >= oldest]
        found: Rows = []
        for table, asked in zip(tables, keys, strict=True):
            known: dict[bytes, bytes | None] = {}
            for rows in reversed(held):
                known.update((key, rows[table][key]) for key in asked if key in rows.get(table, ()))
            if not known.keys() >= set(asked):
                return None
            found.append([known[key] for key in asked])
        return found

    def _turn(self, full: _Generation) -> _Generation:
        with self._lock:
            if self._young is full:
                self._old, self._young = full, _Generation()
            return self._young


class _Generation:
    def __init__(self) -> None:
        self.since = time.monotonic()
        self.rows: dict[str, dict[bytes, bytes | None]] = {}

    def __len__(self) -> int:
        return sum(map(len, self.rows.values()))
