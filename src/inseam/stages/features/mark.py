"""The mark of an online table: which rows it holds and how far their materialization got."""

from __future__ import annotations

import msgspec

from inseam.ir.windows import WindowedAggregate
from inseam.kernel.types import Schema

BEGUN, COMMITTED = "begun", "committed"


def online_table(view: str, fingerprint: str) -> str:
    """The name of the store's table for a view under one fingerprint."""
    return f"{view}@{fingerprint}"


class Mark(msgspec.Struct, frozen=True):
    """Written no sooner than the rows that it counts: it may say less than there is, and never more.

    ``fields`` are the (name, type) pairs of the rows' features: readers decode by them, whatever they ask for.
    """

    boundary: int
    version: int
    rows: int
    """How many entities, in the order of their keys, have been written at this boundary from this version."""
    status: str
    fields: tuple[tuple[str, str], ...]
    erasures: int = 0
    """How often entities were taken out: who began before must read again what it writes."""

    @classmethod
    def start(cls, view: WindowedAggregate, boundary: int, version: int, erasures: int = 0) -> Mark:
        fields = tuple((field.name, field.type.value) for field in view.schema)
        return cls(boundary, version, 0, BEGUN, fields, erasures)

    @classmethod
    def decode(cls, text: bytes | None) -> Mark | None:
        return None if text is None else msgspec.json.decode(text, type=cls)

    def encode(self) -> bytes:
        return msgspec.json.encode(self)

    def after(self, rows: int, status: str = BEGUN) -> Mark:
        """The mark when ``rows`` more are written."""
        return msgspec.structs.replace(self, rows=self.rows + rows, status=status)

    def erased(self) -> Mark:
        """The mark when entities were taken out: work that was begun is the same from its beginning, for the order of
        the keys is no longer what was counted along.
        """
        rows = self.rows if self.status == COMMITTED else 0
        return msgspec.structs.replace(self, rows=rows, erasures=self.erasures + 1)

    def is_same_work(self, other: Mark) -> bool:
        """Whether both stand for the same rows, written in part or whole."""
        return (self.boundary, self.version, self.fields) == (other.boundary, other.version, other.fields)

    @property
    def schema(self) -> Schema:
        return Schema.of(self.fields)
