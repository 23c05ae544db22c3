"""New rows folded into the tiles of many entities at once.

An entity's head holds its base, its coarse tiles and, while they are few, its fine tiles; when they become more they
move into chunks, one a coarse tile. So a sparse entity is one small row, and a dense one is written in the parts that
changed.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from inseam.ir.tiles import BASE, TileLayout, Tiles

INLINE = 64
"""The most fine tiles that an entity's head holds."""
HEAD = struct.Struct("<qi4sII")
"""Before the tiles: boundary, version, the layout's digest, how many coarse tiles (base among them), fine tiles."""
CHUNKED = 1 << 31
"""In the number of fine tiles: they are in chunks."""

Place = tuple[int, int]
"""A chunk: the number of its entity, and its start."""


@dataclass(frozen=True)
class Rows:
    """Rows by entity: its number, the row's event time, and its state as a tile of its own."""

    entity: np.ndarray
    ts: np.ndarray
    tiles: Tiles


@dataclass(frozen=True)
class Folded:
    heads: list[bytes]
    """By entity."""
    chunks: dict[Place, bytes | None]
    """Those that changed; None for what no window reaches any more."""


class Heads:
    """What is held of some entities, in their order; None where there is nothing yet."""

    def __init__(self, layout: TileLayout, found: Sequence[bytes | None]) -> None:
        empty = HEAD.pack(0, 0, layout.digest, 0, 0)
        heads = [HEAD.unpack_from(head or empty) for head in found]
        counts = np.array([(coarse, fine & ~CHUNKED) for *_, coarse, fine in heads], np.int64).reshape(-1, 2)
        self.is_chunked = np.array([bool(fine & CHUNKED) for *_, fine in heads], bool)
        self.entity = np.repeat(np.arange(len(heads)), counts.sum(axis=1))
        self.level = np.repeat(np.tile([1, 2], len(heads)), counts.ravel())
        kept = [(head[HEAD.size :], int(n)) for head, n in zip(found, counts.sum(axis=1), strict=True) if head]
        self.tiles = Tiles.decode(layout, [body for body, _ in kept], [n for _, n in kept])


def boundary_of(head: bytes) -> int:
    """The boundary at which a head, or a chunk, was written."""
    return int(HEAD.unpack_from(head)[0])


def touched(layout: TileLayout, heads: Heads, rows: Rows, boundary: int) -> list[Place]:
    """The chunks that must be read before these rows are folded."""
    coarse = rows.ts - rows.ts % layout.coarse
    inside = heads.is_chunked[rows.entity] & (coarse >= layout.edge(boundary))
    pairs = np.unique(np.stack([rows.entity[inside], coarse[inside]], axis=1), axis=0)
    return [(entity, start) for entity, start in pairs.tolist()]


def fold(
    layout: TileLayout, heads: Heads, chunks: Mapping[Place, bytes | None], rows: Rows, boundary: int, version: int
) -> Folded:
    """Heads and chunks with the rows in them, as of ``boundary`` from snapshot ``version``."""
    edge = layout.edge(boundary)
    pool, entity, level = _pool(layout, heads, chunks, rows)
    start = np.where(pool.starts < edge, BASE, pool.starts)
    # What lies before every window is the base's, once: the coarse level has it all where there are chunks.
    is_old = start == BASE
    kept = ~is_old | (layout.has_base & ((level == 1) | ~heads.is_chunked[entity]))
    level = np.where(is_old, 0, level)
    pool, entity, level = _merge(pool.take(kept.nonzero()[0]), entity[kept], level[kept], start[kept])
    is_chunked = heads.is_chunked
    if not layout.is_flat:
        fine = np.bincount(entity[level == 2], minlength=is_chunked.size)
        grown = ~is_chunked & (fine > INLINE)
        if grown.any():
            pool, entity, level = _with_coarse(layout, pool, entity, level, grown)
            is_chunked = is_chunked | grown
    moved = (level == 2) & is_chunked[entity]
    gone = dict.fromkeys(_gone(heads, edge))
    return Folded(
        _heads(layout, pool, entity, level, ~moved, is_chunked, boundary, version),
        gone | _chunks(layout, pool, entity, moved, boundary, version),
    )


def _pool(
    layout: TileLayout, heads: Heads, chunks: Mapping[Place, bytes | None], rows: Rows
) -> tuple[Tiles, np.ndarray, np.ndarray]:
    """Everything held and new: tiles, of which entity each is, and its level (1 coarse, 2 fine)."""
    held = [(place, body) for place, body in chunks.items() if body is not None]
    counts = [HEAD.unpack_from(body)[4] for _, body in held]
    fine = Tiles.decode(layout, [body[HEAD.size :] for _, body in held], counts)
    of_fine = np.repeat(np.array([place[0] for place, _ in held], np.int64), counts)
    # A row of an entity with chunks counts in both levels.
    both = np.flatnonzero(heads.is_chunked[rows.entity])
    coarse = _aligned(rows.tiles.take(both), rows.ts[both], layout.coarse)
    own = _aligned(rows.tiles, rows.ts, layout.fine)
    pool = Tiles.joined([heads.tiles, fine, coarse, own])
    entity = np.concatenate([heads.entity, of_fine, rows.entity[both], rows.entity])
    levels = [np.full(len(tiles), value) for tiles, value in ((fine, 2), (coarse, 1), (own, 2))]
    return pool, entity, np.concatenate([heads.level, *levels])


def _aligned(tiles: Tiles, ts: np.ndarray, width: int) -> Tiles:
    records = tiles.records.copy()
    records["start"] = ts - ts % width
    return Tiles(tiles.layout, records, tiles.heaps)


def _merge(
    pool: Tiles, entity: np.ndarray, level: np.ndarray, start: np.ndarray
) -> tuple[Tiles, np.ndarray, np.ndarray]:
    """One tile for each entity, level and start, in that order."""
    order = np.lexsort((start, level, entity))
    entity, level, start = entity[order], level[order], start[order]
    is_new = np.ones(order.size, bool)
    is_new[1:] = (np.diff(entity) != 0) | (np.diff(level) != 0) | (start[1:] != start[:-1])
    first = np.flatnonzero(is_new)
    return pool.take(order).merge(first, start[first]), entity[first], level[first]


def _with_coarse(
    layout: TileLayout, pool: Tiles, entity: np.ndarray, level: np.ndarray, grown: np.ndarray
) -> tuple[Tiles, np.ndarray, np.ndarray]:
    """The coarse tiles of entities that had none, from their fine ones."""
    fine = np.flatnonzero((level == 2) & grown[entity])
    part = pool.take(fine)
    whole = Tiles.joined([pool, part])
    start = np.concatenate([pool.starts, part.starts - part.starts % layout.coarse])
    return _merge(
        whole, np.concatenate([entity, entity[fine]]), np.concatenate([level, np.ones(fine.size, level.dtype)]), start
    )


def _gone(heads: Heads, edge: int) -> list[Place]:
    starts = heads.tiles.starts
    old = (starts < edge) & (starts != BASE) & (heads.level == 1) & heads.is_chunked[heads.entity]
    return list(zip(heads.entity[old].tolist(), starts[old].tolist(), strict=True))


def _heads(
    layout: TileLayout, pool: Tiles, entity: np.ndarray, level: np.ndarray, kept: np.ndarray, is_chunked: np.ndarray,
    boundary: int, version: int,
) -> list[bytes]:  # fmt: skip
    entities = is_chunked.size
    coarse = np.bincount(entity[kept & (level < 2)], minlength=entities)
    fine = np.bincount(entity[kept & (level == 2)], minlength=entities)
    bodies = pool.take(np.flatnonzero(kept)).bodies(coarse + fine)
    marks = np.where(is_chunked, CHUNKED, 0) | fine
    return [
        HEAD.pack(boundary, version, layout.digest, *numbers) + body
        for *numbers, body in zip(coarse.tolist(), marks.tolist(), bodies, strict=True)
    ]


def _chunks(
    layout: TileLayout, pool: Tiles, entity: np.ndarray, moved: np.ndarray, boundary: int, version: int
) -> dict[Place, bytes]:
    chosen = np.flatnonzero(moved)
    tiles, of = pool.take(chosen), entity[chosen]
    coarse = tiles.starts - tiles.starts % layout.coarse
    is_new = np.ones(chosen.size, bool)
    is_new[1:] = (np.diff(of) != 0) | (np.diff(coarse) != 0)
    first = np.flatnonzero(is_new)
    counts = np.diff(first, append=chosen.size)
    bodies = tiles.bodies(counts)
    head = (boundary, version, layout.digest, 0)
    return {
        (e, s): HEAD.pack(*head, n) + body
        for e, s, n, body in zip(of[first].tolist(), coarse[first].tolist(), counts.tolist(), bodies, strict=True)
    }
