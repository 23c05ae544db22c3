"""The windowed aggregate as one vectorised operator: all windows of all aggregates over events that are sorted once.

TIME.md is the meaning; this is its fast path over NumPy arrays. A row of the events counts for a spine row with
boundary b iff their keys are equal, b - over <= ts < b, and it is known by then: known is NULL or known <= b + lag.
Import this module on first use: it brings in numba.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from inseam.adapters.duckdb import sweep_kernels as kernels
from inseam.adapters.duckdb import sweep_layout as layouts
from inseam.adapters.duckdb.sweep_layout import EARLIEST, LATEST, Array, Layout
from inseam.adapters.duckdb.sweep_sums import spreads, sums

KINDS = ("count", "sum", "mean", "min", "max", "std", "first", "last", "distinct")
Answer = tuple[Array, Array | None]
_PICKS = {"max": kernels.MAX, "min": kernels.MIN, "last": kernels.LAST, "first": kernels.FIRST}
_FEW = 50_000  # rows below which a second thread costs more than it saves


@dataclass(frozen=True)
class Column:
    """One column of the events: float64, int64 or bool cells (strings come as int64 codes); valid None = no NULL."""

    values: Array
    valid: Array | None = None


@dataclass(frozen=True)
class Ask:
    """One aggregate: kind over column, of rows where mask (a bool column; NULL is false) holds, over_us back."""

    kind: str
    column: str | None = None
    mask: str | None = None
    over_us: int | None = None


@dataclass(frozen=True)
class Events:
    """The rows that are aggregated, in any order: dense key codes, instants in us; known EARLIEST = NULL."""

    key: Array
    ts: Array
    known: Array | None
    seq: Array | None
    late: Array | None


def sweep(
    event_key: Array,
    event_ts: Array,
    event_known: Array | None,
    event_seq: Array | None,
    columns: dict[str, Column],
    spine_key: Array,
    spine_boundary: Array,
    lag_us: int,
    every_us: int,
    asks: Sequence[Ask],
    key_count: int,
    threads: int = 2,
    event_late: Array | None = None,
) -> list[Answer]:
    """Each ask's values and validity (None = no NULL) in the spine's order.

    Keys are codes 0..key_count-1, -1 = never seen. A row is late if a boundary (a multiple of every_us; any instant if
    that is 0) lies after its ts and was published, lag_us later, before the row was known; event_late overrides this.
    Rows sort by (ts, known, seq), then as given. count and distinct of nothing are 0, all else is NULL; std needs two
    cells. first and last take the cell of the first and last row, NULL or not; the others skip NULL cells.
    """
    for ask in asks:
        _check(ask, columns)
    if max(event_ts.size, spine_boundary.size) >= 2**31:
        raise ValueError("sweep takes fewer than 2**31 events and spine rows: split them by key")
    events = Events(event_key, event_ts, event_known, event_seq, event_late)
    overs = sorted({-1 if ask.over_us is None else ask.over_us for ask in asks})
    with ThreadPoolExecutor(max_workers=threads) as pool:
        crew = Crew(pool, threads)
        layout, order = _lay_out(crew, events, spine_key, spine_boundary, lag_us, every_us, overs, key_count)
        answers: dict[Ask, Answer] = {}
        for column in dict.fromkeys(ask.column for ask in asks):  # one column's cells in memory at a time
            task = _Task(crew, layout, order, columns, column, spine_boundary.size)
            for mask in dict.fromkeys(ask.mask for ask in asks if ask.column == column):
                answers |= task.answer([ask for ask in asks if (ask.column, ask.mask) == (column, mask)], mask)
    return [answers[ask] for ask in asks]


def _check(ask: Ask, columns: dict[str, Column]) -> None:
    if ask.kind not in KINDS:
        raise ValueError(f"unknown aggregate {ask.kind!r}: expected one of {', '.join(KINDS)}")
    if ask.column is None and ask.kind != "count":
        raise ValueError(f"{ask.kind} needs a column")
    if ask.over_us is not None and ask.over_us < 0:
        raise ValueError(f"over_us must not be negative, found {ask.over_us}")
    for name in (ask.column, ask.mask):
        if name is not None and columns[name].values.dtype not in (np.float64, np.int64, np.bool_):
            raise ValueError(f"column {name!r} must be float64, int64 or bool, found {columns[name].values.dtype}")


@dataclass
class Crew:
    """Threads that share a kernel's work by ranges."""

    pool: ThreadPoolExecutor
    threads: int

    def split(self, kernel: Callable[..., Any], cuts: Array, *arguments: Any) -> None:
        """kernel(from, to, *arguments) for each pair of neighbouring cuts."""
        ranges = [(int(a), int(b)) for a, b in zip(cuts[:-1], cuts[1:], strict=True) if a < b]
        if len(ranges) <= 1 or self.threads == 1:
            for a, b in ranges:
                kernel(a, b, *arguments)
            return
        list(self.pool.map(lambda span: kernel(*span, *arguments), ranges))

    def even(self, size: int) -> Array:
        """Cuts of 0..size into equal parts, one per thread."""
        parts = self.threads if size > _FEW else 1
        return np.linspace(0, size, parts + 1).astype(np.int64)

    def by_load(self, *starts: Array) -> Array:
        """Cuts of the keys into parts with about equal numbers of rows, a few per thread since hot keys don't divide."""
        load = np.sum(starts, axis=0)
        parts = 8 * self.threads if load[-1] > _FEW else 1
        inner = np.searchsorted(load, np.arange(1, parts) * (int(load[-1]) / parts))
        return np.concatenate([[0], inner, [load.size - 1]])


def _frozen(array: Array | None, dtype: type) -> Array:
    """A contiguous read-only view (kernels are compiled for one kind of array); empty for None."""
    view = np.ascontiguousarray(np.empty(0, dtype) if array is None else array, dtype).view()
    view.flags.writeable = False
    return view


_NONE = _frozen(None, np.int64)


def _deal(
    crew: Crew, key: Array, ts: Array, is_wanted: Array, ts_from: int, ts_to: int
) -> tuple[Array, Array, Array]:
    """(starts int64[K+1], order int32, ts by position): the wanted rows of the time range, bucketed by key, stable."""
    key, ts = _frozen(key, np.int64), _frozen(ts, np.int64)
    parts = crew.even(ts.size if ts.size > 4 * is_wanted.size else 0)  # counting per part must not outweigh the rows
    parts[-1] = ts.size
    counts = np.zeros((parts.size - 1, is_wanted.size), np.int64)

    def count(a: int, b: int) -> None:
        layouts.count_keys(key, ts, is_wanted, ts_from, ts_to, int(parts[a]), int(parts[b]), counts[a])

    def deal(a: int, b: int) -> None:
        layouts.deal_keys(
            key, ts, is_wanted, ts_from, ts_to, int(parts[a]), int(parts[b]), cursors[a], order, sorted_ts
        )

    crew.split(count, np.arange(parts.size))
    starts = np.concatenate([[0], np.cumsum(counts.sum(axis=0))])
    cursors = np.cumsum(counts, axis=0) - counts + starts[:-1]
    order, sorted_ts = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.int64)
    crew.split(deal, np.arange(parts.size))
    return starts, order, sorted_ts


def _lay_out(
    crew: Crew,
    events: Events,
    spine_key: Array,
    spine_boundary: Array,
    lag: int,
    every: int,
    overs: list[int],
    key_count: int,
) -> tuple[Layout, Array]:
    """Sort spine and events and find every window's bounds; the second result is each position's row number."""
    spine_start, spine_row, boundary = _deal(
        crew, spine_key, spine_boundary, np.ones(key_count, np.bool_), EARLIEST, LATEST
    )
    crew.split(layouts.sort_runs, crew.by_load(spine_start), spine_start, spine_row, boundary, _NONE, _NONE)
    # Rows that no spine row can see are left out at once: those of other keys, and those outside of all windows.
    ts_from, ts_to = EARLIEST, EARLIEST
    if boundary.size:
        ts_to = max(int(boundary.max()) - 1, EARLIEST)
        ts_from = max(int(boundary.min()) - overs[-1], EARLIEST) if overs and overs[0] >= 0 else EARLIEST
    is_wanted = spine_start[1:] > spine_start[:-1]
    event_start, order, ts = _deal(crew, events.key, events.ts, is_wanted, ts_from, ts_to)
    known, seq = _frozen(events.known, np.int64), _frozen(events.seq, np.int64)
    crew.split(layouts.sort_runs, crew.by_load(event_start), event_start, order, ts, known, seq)
    is_late = np.zeros(key_count, np.bool_)
    enter, entry_order, sorted_enter = _enter(crew, events, event_start, order, ts, lag, every, is_late)
    rows, over = spine_row.size, np.array(overs, np.int64)
    end, entered, begin = np.empty(rows, np.int32), np.empty(rows, np.int32), np.empty((over.size, rows), np.int32)
    layout = Layout(
        event_start, spine_start, spine_row, boundary, ts, is_late, enter, entry_order, end, entered, begin, over
    )
    crew.split(layouts.bounds, crew.by_load(event_start, spine_start), layout, sorted_enter)
    return layout, order


def _enter(
    crew: Crew, events: Events, starts: Array, order: Array, ts: Array, lag: int, every: int, is_late: Array
) -> tuple[Array, Array, Array]:
    """(entry instant by position, positions by entry, entry instants in that order); empty where nothing is late."""
    nothing = np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.int64)
    if events.known is None:
        return nothing
    known, given = _frozen(events.known, np.int64), _frozen(events.late, np.bool_)
    any_late = bool(given.any()) if given.size else layouts.has_late(_frozen(events.ts, np.int64), known, every, lag)
    if not any_late:
        return nothing
    enter = np.empty(order.size, np.int64)
    cuts = crew.by_load(starts)
    crew.split(layouts.entries, cuts, starts, order, ts, known, given, every, lag, enter, is_late)
    entry_order, sorted_enter = np.arange(order.size, dtype=np.int32), enter.copy()
    crew.split(layouts.sort_runs, cuts, starts, entry_order, sorted_enter, _NONE, _NONE)
    return enter, entry_order, sorted_enter


@dataclass
class _Task:
    """The asks about one column: its cells are gathered once, and windows that several asks need are answered once."""

    crew: Crew
    layout: Layout
    order: Array
    columns: dict[str, Column]
    name: str | None
    rows: int

    @cached_property
    def cuts(self) -> Array:
        return self.crew.by_load(self.layout.event_start, self.layout.spine_start)

    @cached_property
    def column(self) -> Column:
        assert self.name is not None
        return self.columns[self.name]

    @cached_property
    def is_float(self) -> bool:
        return self.column.values.dtype == np.float64

    @cached_property
    def cells(self) -> Array:
        """Cells by position as int64: floats as their bits."""
        values = self.column.values
        source = _frozen(values.view(np.int64) if self.is_float else values, np.int64)
        out = np.empty(self.order.size, np.int64)
        self.crew.split(layouts.gather, self.crew.even(out.size), self.order, source, out)
        return out

    @cached_property
    def numbers(self) -> Array:
        """Cells by position as float64."""
        return self.cells.view(np.float64) if self.is_float else self.cells.astype(np.float64)

    def passing(self, mask: str | None, *, skips_null: bool) -> Array:
        """bool by position: rows that count; empty where all do."""
        valid = self.column.valid if skips_null and self.name is not None else None
        where = None
        if mask is not None:
            column = self.columns[mask]
            where = column.values if column.valid is None else column.values & column.valid
        if valid is None and where is None:
            return np.empty(0, np.bool_)
        out = np.empty(self.order.size, np.bool_)
        sources = _frozen(valid, np.bool_), _frozen(where, np.bool_)
        self.crew.split(layouts.gather_passing, self.crew.even(out.size), self.order, *sources, out)
        return out

    def answer(self, asks: Sequence[Ask], mask: str | None) -> dict[Ask, Answer]:
        """Answer all asks of this column under one mask."""
        answers: dict[Ask, Answer] = {}
        overs = self.layout.over.tolist()
        index = {ask: overs.index(-1 if ask.over_us is None else ask.over_us) for ask in asks}
        for skips_null in (True, False):
            group = [ask for ask in asks if (ask.kind not in ("first", "last")) is skips_null]
            passing = self.passing(mask, skips_null=skips_null) if group else np.empty(0, np.bool_)
            counts: dict[int, Array] = {}
            totals: dict[int, Array] = {}
            for kind in sorted({ask.kind for ask in group}, key=KINDS.index):
                windows = sorted({index[ask] for ask in group if ask.kind == kind})
                if kind in ("count", "sum", "mean", "std"):
                    needed = sorted({index[a] for a in group if a.kind in ("count", "sum", "mean", "std")})
                    counts = counts or self._tally(needed, np.empty(0, np.int64), passing)
                found = self._kind(kind, windows, passing, counts, totals)
                answers |= {ask: found[index[ask]] for ask in group if ask.kind == kind}
        return answers

    def _kind(
        self, kind: str, windows: list[int], passing: Array, counts: dict[int, Array], totals: dict[int, Array]
    ) -> dict[int, Answer]:
        """Answers of one kind by window; totals keeps the float sums that sum and mean share."""
        if kind == "count":
            return {w: (counts[w], None) for w in windows}
        if kind == "distinct":
            found = self._run(kernels.distinct, np.int64, windows, self.is_float, self.cells, passing)
            return {w: (found[w], None) for w in windows}
        if kind in _PICKS:
            return self._pick(kind, windows, passing)
        if kind == "sum" and not self.is_float:
            exact = self._tally(windows, self.cells, passing)
            return {w: (exact[w], counts[w] > 0) for w in windows}
        stacked = {w: counts[w] for w in windows if w not in totals}
        if kind == "std":
            deviations = self._float(spreads, windows, passing, counts)
            return {w: (deviations[w], counts[w] > 1) for w in windows}
        if stacked:
            totals |= self._float(sums, list(stacked), passing, counts)
        if kind == "sum":
            return {w: (totals[w], counts[w] > 0) for w in windows}
        return {w: (totals[w] / np.maximum(counts[w], 1), counts[w] > 0) for w in windows}

    def _run(
        self, kernel: Callable[..., None], dtype: type, windows: list[int], *arguments: Any, empty: int = 0
    ) -> dict[int, Array]:
        """Run a kernel over all keys; its result per window, in the spine's order."""
        out = np.full((len(windows), self.rows), empty, dtype)
        self.crew.split(kernel, self.cuts, self.layout, np.array(windows, np.int64), *arguments, out)
        return dict(zip(windows, out, strict=True))

    def _tally(self, windows: list[int], cells: Array, passing: Array) -> dict[int, Array]:
        return self._run(kernels.tally, np.int64, windows, cells, passing)

    def _float(
        self, kernel: Callable[..., None], windows: list[int], passing: Array, counts: dict[int, Array]
    ) -> dict[int, Array]:
        stacked = np.stack([counts[w] for w in windows])
        return self._run(kernel, np.float64, windows, self.numbers, passing, stacked)

    def _pick(self, kind: str, windows: list[int], passing: Array) -> dict[int, Answer]:
        """min, max, first, last: the cell of the row that the kernel points to."""
        is_place = kind in ("first", "last")
        cells = np.empty(0, np.int64) if is_place else self.cells
        found = self._run(kernels.pick, np.int32, windows, _PICKS[kind], self.is_float, cells, passing, empty=-1)
        answers: dict[int, Answer] = {}
        for w, position in found.items():
            valid = position >= 0
            if self.order.size == 0:
                answers[w] = np.zeros(self.rows, self.column.values.dtype), valid
                continue
            row = self.order[np.maximum(position, 0)]
            if is_place and self.column.valid is not None:
                valid &= self.column.valid[row]
            answers[w] = self.column.values[row], valid
        return answers
