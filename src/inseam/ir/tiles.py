"""Tiles: partial states of an entity's rows by event time, from which the values of any window are put together.

Fine tiles are as wide as the greatest step that fits every edge of every window; coarse tiles are whole multiples of
them. What lies before every window is one record, the base, where a feature has no window. Records are in order of
their start; a set of tiles is bytes as

    for each state with a heap      uint32: the bytes of its cells
    the records                     start (int64), then the fields of each state
    the heaps                       in the order of the states
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b

import numpy as np

from inseam.ir.derived import core
from inseam.ir.tile_measure import Measure
from inseam.ir.tile_merge import State, merged, picked
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.clock import HOUR, SECOND

BASE = -(1 << 63)
"""The start of the record that holds what lies before every window."""
_COARSE = 256
"""About how many coarse tiles the longest window covers."""


@dataclass(frozen=True)
class TileLayout:
    """``fine`` and ``coarse`` are widths, ``longest`` the longest window, all in microseconds."""

    measures: tuple[Measure, ...]
    fine: int
    coarse: int
    longest: int
    has_base: bool

    @classmethod
    def of(cls, view: WindowedAggregate) -> TileLayout:
        aggregates = core(view).aggregates
        measures = dict.fromkeys(
            Measure.of(a, None if a.column is None else view.relation.schema.type_of(a.column)) for a in aggregates
        )
        overs = [a.over for a in aggregates if a.over is not None]
        # Local midnights are whole seconds from one another, whatever the zone's history.
        step = max(1, view.step.microseconds) if view.step.zone is None else SECOND
        fine = math.gcd(step, *overs)
        longest = max(overs, default=0)
        wished = longest // _COARSE if overs else HOUR
        return cls(tuple(measures), fine, fine * max(1, -(-wished // fine)), longest, len(overs) < len(aggregates))

    @property
    def is_flat(self) -> bool:
        """One level is enough: coarse tiles are no wider than fine ones."""
        return self.coarse == self.fine

    def edge(self, boundary: int) -> int:
        """No window at this boundary or a later one covers anything before this instant, but those without an end."""
        reach = boundary - self.longest
        return reach - reach % self.coarse

    @cached_property
    def digest(self) -> bytes:
        """Four bytes that tell one layout from another."""
        said = [[m.family, m.column, m.type, m.where] for m in self.measures]
        text = json.dumps([said, self.fine, self.coarse, self.longest, self.has_base])
        return blake2b(text.encode(), digest_size=4).digest()

    @cached_property
    def record(self) -> np.dtype[np.void]:
        fields = [(f"{i}{name}", form) for i, measure in enumerate(self.measures) for name, form in measure.fields]
        return np.dtype([("start", "<i8"), *fields])

    @cached_property
    def heaps(self) -> tuple[tuple[int, np.dtype[np.generic]], ...]:
        """Which measures have a heap, and the form of its cells."""
        return tuple((i, np.dtype(m.heap)) for i, m in enumerate(self.measures) if m.heap is not None)


class Tiles:
    """Some tiles, of one entity or of many: records, and a heap for each measure that has one."""

    def __init__(self, layout: TileLayout, records: np.ndarray, heaps: dict[int, np.ndarray]) -> None:
        self.layout = layout
        self.records = records
        self.heaps = heaps

    @classmethod
    def of(cls, layout: TileLayout, starts: np.ndarray, states: Sequence[State]) -> Tiles:
        records = np.zeros(starts.size, layout.record)
        records["start"] = starts
        heaps = {}
        for i, state in enumerate(states):
            for name, values in state.items():
                if name == "heap":
                    heaps[i] = values
                else:
                    records[f"{i}{name}"] = values
        return cls(layout, records, heaps)

    @classmethod
    def decode(cls, layout: TileLayout, bodies: Sequence[bytes], counts: Sequence[int]) -> Tiles:
        """The tiles of some bodies, one's behind another's; ``counts``: how many records each has."""
        width, first = layout.record.itemsize, 4 * len(layout.heaps)
        ends = [first + width * count for count in counts]
        whole = b"".join(body[first:end] for body, end in zip(bodies, ends, strict=True))
        parts: dict[int, list[bytes]] = {i: [] for i, _ in layout.heaps}
        if layout.heaps:
            for body, end in zip(bodies, ends, strict=True):
                place = end
                for (i, _), size in zip(layout.heaps, struct.unpack_from(f"<{len(layout.heaps)}I", body), strict=True):
                    parts[i].append(body[place : place + size])
                    place += size
        heaps = {i: np.frombuffer(b"".join(parts[i]), form) for i, form in layout.heaps}
        return cls(layout, np.frombuffer(whole, layout.record), heaps)

    @classmethod
    def joined(cls, parts: Sequence[Tiles]) -> Tiles:
        """At least one set of tiles, one behind another."""
        first = parts[0]
        if len(parts) == 1:
            return first
        heaps = {i: np.concatenate([part.heaps[i] for part in parts]) for i, _ in first.layout.heaps}
        return cls(first.layout, np.concatenate([part.records for part in parts]), heaps)

    def __len__(self) -> int:
        return len(self.records)

    @property
    def starts(self) -> np.ndarray:
        found: np.ndarray = self.records["start"]
        return found

    def state(self, i: int) -> State:
        """The states of one measure."""
        measure = self.layout.measures[i]
        found = {name: self.records[f"{i}{name}"] for name, _ in measure.fields}
        return found | {"heap": self.heaps[i]} if i in self.heaps else found

    def take(self, chosen: np.ndarray) -> Tiles:
        heaps = {i: picked(self.state(i), chosen)["heap"] for i, _ in self.layout.heaps}
        return Tiles(self.layout, self.records[chosen], heaps)

    def slice(self, low: int, high: int) -> Tiles:
        heaps = {}
        for i, _ in self.layout.heaps:
            ends = np.concatenate([[0], np.cumsum(self.records[f"{i}length"], dtype=np.int64)])
            heaps[i] = self.heaps[i][ends[low] : ends[high]]
        return Tiles(self.layout, self.records[low:high], heaps)

    def merge(self, starts: np.ndarray, names: np.ndarray) -> Tiles:
        """Each segment as one tile whose start is its ``name``; ``starts`` are the segments' first places."""
        states = [merged(m, self.state(i), starts) for i, m in enumerate(self.layout.measures)] if starts.size else []
        heaps = {i: self.heaps[i] for i, _ in self.layout.heaps}
        made = Tiles.of(self.layout, names, states)
        return Tiles(self.layout, made.records, heaps | made.heaps)

    def bodies(self, counts: np.ndarray) -> list[bytes]:
        """The bytes of consecutive groups of ``counts`` records each."""
        ends = np.cumsum(counts)
        width = self.layout.record.itemsize
        records = self.records.tobytes()
        found = [records[(e - c) * width : e * width] for e, c in zip(ends.tolist(), counts.tolist(), strict=True)]
        if not self.layout.heaps:
            return found
        sizes, cells = [], []
        for i, form in self.layout.heaps:
            behind = np.concatenate([[0], np.cumsum(self.records[f"{i}length"], dtype=np.int64)]) * form.itemsize
            low, high = behind[ends - counts], behind[ends]
            heap = self.heaps[i].tobytes()
            sizes.append(high - low)
            cells.append([heap[a:b] for a, b in zip(low.tolist(), high.tolist(), strict=True)])
        heads = [row.tobytes() for row in np.stack(sizes, axis=1).astype("<u4")]
        return [b"".join(parts) for parts in zip(heads, found, *cells, strict=True)]
