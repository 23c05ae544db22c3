"""Where a view's tiles stand in the online store: their table, the row that says what is applied, and the mark."""

from __future__ import annotations

import struct

import msgspec

from inseam.ir.tile_measure import Measure
from inseam.ir.tiles import TileLayout
from inseam.kernel.types import DataType
from inseam.ports.online import OnlineStore

APPLIED = b"m"
"""The key of the row that says what every entity of the table is good for: see `applied`. No entity has it."""
_APPLIED = struct.Struct("<qi4s")


def tile_table(view: str, fingerprint: str) -> str:
    """The name of the store's table for the tiles of a view under one fingerprint."""
    return f"{view}@{fingerprint}/tiles"


def applied(boundary: int, version: int, layout: TileLayout) -> bytes:
    """Heads and chunks have every row that is known at ``boundary``, as snapshot ``version`` has them, or later ones
    than that, which they name themselves."""
    return _APPLIED.pack(boundary, version, layout.digest)


def read_applied(row: bytes) -> tuple[int, int, bytes]:
    """(boundary, version, the layout's digest)."""
    boundary, version, digest = _APPLIED.unpack(row)
    return boundary, version, digest


def drop_tiles(store: OnlineStore, table: str, mark: bytes | None) -> None:
    """Destroy a view's tiles, whose mark is this one.

    What says that they are applied goes first: no reader may take one that is gone for an entity that was never there.
    """
    store.write(table, [(APPLIED, None)], over=[mark])
    store.drop(table)


class Shape(msgspec.Struct, frozen=True):
    """A `TileLayout` as the mark keeps it."""

    measures: tuple[tuple[str, str | None, str | None, str | None], ...]
    fine: int
    coarse: int
    longest: int
    has_base: bool

    @classmethod
    def of(cls, layout: TileLayout) -> Shape:
        measures = tuple((m.family, m.column, m.type, m.where) for m in layout.measures)
        return cls(measures, layout.fine, layout.coarse, layout.longest, layout.has_base)

    @property
    def layout(self) -> TileLayout:
        measures = tuple(
            Measure(family, column, None if type_ is None else DataType(type_), where)
            for family, column, type_, where in self.measures
        )
        return TileLayout(measures, self.fine, self.coarse, self.longest, self.has_base)


class TileMark(msgspec.Struct, frozen=True):
    """How far a view's tiles are, written with them."""

    boundary: int | None
    """The boundary that is applied whole; None while the tiles are being built."""
    version: int
    """The snapshot that it was applied from."""
    is_whole: bool
    """Whether that snapshot has nothing that is not applied."""
    history: int
    """Which loads of history are in: the tiles are built anew when there is another."""
    shape: Shape
    target: int | None = None
    """The boundary that is being applied, from the snapshot ``target_version``."""
    target_version: int = -1
    erasures: int = 0
    """How often entities were taken out: who began before must read again what it writes."""
    done: int = 0
    """Of the target: entities in the order of their keys; while the tiles are built, rows in the order of the table."""

    @classmethod
    def decode(cls, text: bytes | None) -> TileMark | None:
        return None if text is None else msgspec.json.decode(text, type=cls)

    def encode(self) -> bytes:
        return msgspec.json.encode(self)

    def erased(self) -> TileMark:
        """The mark when entities were taken out."""
        return msgspec.structs.replace(self, erasures=self.erasures + 1)
