"""Tables whose small files can be made fewer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Compacted:
    """A table after small files of it were merged: ``files`` before and after."""

    version: int
    before: int
    after: int


@runtime_checkable
class Compacting(Protocol):
    """Tables that keep a file a load, however small: reading costs by the file. Others have no such method."""

    def compact(self, table: str, *, fewest: int, seen: Callable[[int], None] | None = None) -> Compacted | None:
        """Make one file of each ``fewest`` or more small ones that lie side by side; None where there are none.

        One commit, with the same rows in the same order: snapshots before it stay readable as they were. What others
        append meanwhile stays. Nobody may erase from the table meanwhile. What is merged once is merged again only
        with as many that are like it, if at all: call it until it gives None. ``seen`` is told how many rows were read.
        """
