"""The online store: the newest row of each view and entity, read in microseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class OnlineStore(Protocol):
    """Keys and rows are bytes made by `inseam.ir.online_row`; ``table`` is a view under one fingerprint."""

    def write(self, table: str, rows: Sequence[tuple[bytes, bytes | None]], mark: bytes | None = None) -> None:
        """Put rows in one durable transaction, together with the table's mark when one is given.

        None in place of a row takes out what is there; a key stands at most once. All of it or nothing happens,
        whatever is killed.
        """

    def read(self, tables: Sequence[str], keys: Sequence[Sequence[bytes]]) -> list[list[bytes | None]]:
        """For each table the rows of its keys, in their order, from one consistent state; None where there is none."""

    def mark(self, table: str) -> bytes | None:
        """The table's mark: how far its materialization got, as the writer encoded it."""

    def count(self, table: str) -> int:
        """How many rows the table holds."""

    def tables(self) -> Mapping[str, int]:
        """Every table with its size in bytes."""

    def drop(self, table: str) -> None:
        """Destroy a table; one that is not there is no error."""

    def close(self) -> None: ...
