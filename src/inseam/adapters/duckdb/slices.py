"""Where one key's rows don't fit into memory: runs of time that are answered one after the other.

Windows look back a limited way, so that the spine rows of a run of time need only the events of that run and of the
longest window before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from inseam.adapters.duckdb.features import boundary_of
from inseam.adapters.duckdb.keys import Array
from inseam.adapters.duckdb.view_plan import ViewPlan
from inseam.kernel.errors import SettingError

_BINS = 4096
_EARLIEST = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class Slice:
    """Spine rows with ``since <= event_time < until``."""

    since: int
    until: int


class Slices:
    """Cuts a part's time so that each slice takes at most ``room`` bytes, ``row_bytes`` of them a spine row."""

    def __init__(self, plans: Sequence[ViewPlan], earliest: int, latest: int, row_bytes: int, room: int) -> None:
        self._plans = plans
        self._edges = np.unique(np.linspace(earliest, latest + 1, _BINS + 1).astype(np.int64))
        self._edges[-1] = latest + 1
        self._row_bytes, self._room = row_bytes, room

    def cut(self, spine: Iterable[Array], events: Sequence[Iterable[Array]]) -> list[Slice]:
        """``spine`` and, for each view, ``events``: the instants of the part's rows, an array at a time.

        `SettingError` when the events of a single bin of time and of the windows that end in it are too many.
        """
        edges = self._edges
        rows = _below(spine, edges)
        held = [self._events(plan, found) for plan, found in zip(self._plans, events, strict=True)]
        slices: list[Slice] = []
        start = _last(rows, rows[0])
        while start < edges.size - 1:
            pairs = zip(self._plans, held, strict=True)
            sizes = [plan.row_bytes * (upper - lower[start]) for plan, (lower, upper) in pairs]
            need = self._row_bytes * (rows - rows[start]) + np.max(sizes, axis=0)
            stop = _last(need, self._room)
            if stop <= start:
                raise self._too_many([int(upper[start + 1] - lower[start]) for lower, upper in held])
            slices.append(Slice(int(edges[start]), int(edges[stop])))
            # What lies between two spine rows costs nothing.
            start = _last(rows, rows[stop])
        return slices

    def _events(self, plan: ViewPlan, found: Iterable[Array]) -> tuple[Array, Array]:
        """How many events lie before what a slice from each edge sees, and before what one up to it does not."""
        overs = [plan.over(spec) for spec in plan.core.aggregates]
        first = boundary_of(plan, self._edges)
        if None in overs:
            first = np.full_like(first, _EARLIEST)
        else:
            first = first - max(over for over in overs if over is not None)
        points = np.concatenate([first, boundary_of(plan, self._edges - 1)])
        order = np.argsort(points, kind="stable")
        counts = np.empty(points.size, np.int64)
        counts[order] = _below(found, points[order])
        return counts[: first.size], counts[first.size :]

    def _too_many(self, events: Sequence[int]) -> SettingError:
        plan, count = max(zip(self._plans, events, strict=True), key=lambda pair: pair[0].row_bytes * pair[1])
        need = plan.row_bytes * count
        return SettingError(
            plan.view.name,
            f"{count:,} events of one key, or of few, are in a window at once and take about {need >> 20:,} MB",
            expected=f"at most {self._room >> 20:,} MB, which memory_limit leaves for them",
            mend="raise memory_limit; or give each feature a window, so that slices of time can be answered in turns",
        )


def _last(ascending: Array, value: int) -> int:
    """The last place that holds at most ``value``."""
    return int(np.searchsorted(ascending, value, side="right")) - 1


def _below(instants: Iterable[Array], points: Array) -> Array:
    """How many instants lie before each of the points, which ascend."""
    counts = np.zeros(points.size + 1, np.int64)
    for chunk in instants:
        counts += np.bincount(np.searchsorted(points, chunk, side="right"), minlength=counts.size)
    return np.cumsum(counts)[:-1]
