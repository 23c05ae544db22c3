"""The values of one entity at a boundary, put together from the tiles that its windows cover."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from inseam.ir.aggregates import AggregateSpec
from inseam.ir.derived import core
from inseam.ir.tile_finish import finished
from inseam.ir.tile_fold import CHUNKED, HEAD
from inseam.ir.tile_measure import Measure
from inseam.ir.tiles import BASE, TileLayout, Tiles
from inseam.ir.windows import WindowedAggregate


class TileWindows:
    """The windows of a view's `core` over tiles of ``layout``, which may hold more than the features need."""

    def __init__(self, view: WindowedAggregate, layout: TileLayout) -> None:
        self.layout = layout
        self._features: dict[int | None, list[tuple[str, AggregateSpec, int]]] = {}
        type_of = view.relation.schema.type_of
        for spec in core(view).aggregates:
            measure = Measure.of(spec, None if spec.column is None else type_of(spec.column))
            place = layout.measures.index(measure)
            self._features.setdefault(spec.over, []).append((spec.name, spec, place))

    def chunks(self, boundary: int) -> list[int]:
        """The starts of the chunks that hold the edges of the windows, for entities that have chunks."""
        width = self.layout.coarse
        if self.layout.is_flat:
            return []
        edges = [boundary, *(boundary - over for over in self._features if over is not None)]
        return list(dict.fromkeys(edge - edge % width for edge in edges if edge % width))

    @staticmethod
    def is_chunked(head: bytes) -> bool:
        """Whether the fine tiles of an entity are in chunks."""
        return bool(HEAD.unpack_from(head)[4] & CHUNKED)

    def values(self, head: bytes, chunks: Mapping[int, bytes | None], boundary: int) -> dict[str, Any]:
        """Of each aggregate of the core; instants as integers, None for NULL. ``chunks``: what is held of `chunks`."""
        *_, coarse, fine = HEAD.unpack_from(head)
        tiles = Tiles.decode(self.layout, [head[HEAD.size :]], [coarse + (fine & ~CHUNKED)])
        held = (
            {start: self._chunk(body) for start, body in chunks.items() if body is not None} if fine & CHUNKED else {}
        )
        found: dict[str, Any] = {}
        for over, features in self._features.items():
            low = None if over is None else boundary - over
            parts = self._parts(tiles, held, low, boundary, is_chunked=bool(fine & CHUNKED))
            whole = Tiles.joined(parts)
            for name, spec, place in features:
                found[name] = finished(spec, self.layout.measures[place], whole.state(place))
        return found

    def _chunk(self, body: bytes) -> Tiles:
        return Tiles.decode(self.layout, [body[HEAD.size :]], [HEAD.unpack_from(body)[4]])

    def _parts(
        self, tiles: Tiles, chunks: Mapping[int, Tiles], low: int | None, high: int, *, is_chunked: bool
    ) -> Sequence[Tiles]:
        """The tiles of ``[low, high)``; with ``low`` None all that begin before ``high``, the base among them."""
        first = BASE if low is None else low
        if not is_chunked:
            return [_between(tiles, first, high)]
        width = self.layout.coarse
        from_ = BASE if low is None else low + -low % width
        until = high - high % width
        if from_ > until:
            return [self._of(chunks, first, high)]
        parts = [_between(tiles, from_, until)]
        if low is not None and low < from_:
            parts.append(self._of(chunks, low, from_))
        if until < high:
            parts.append(self._of(chunks, until, high))
        return parts

    def _of(self, chunks: Mapping[int, Tiles], low: int, high: int) -> Tiles:
        """The part of one chunk; a chunk that is not there is empty."""
        chunk = chunks.get(low - low % self.layout.coarse)
        if chunk is None:
            return Tiles.decode(self.layout, [], [])
        return _between(chunk, low, high)


def _between(tiles: Tiles, low: int, high: int) -> Tiles:
    begin, end = np.searchsorted(tiles.starts, (low, high))
    return tiles.slice(int(begin), int(end))
