"""The windowed aggregate as one vectorised operator: all windows of all aggregates over events that are sorted once.

TIME.md is the meaning; this is its fast path over NumPy arrays. A row of the events counts for a spine row with
boundary b iff their keys are equal, b - over <= ts < b, and it is known by then: known is NULL or known <= b + lag.
Import this module on first use: it brings in numba.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from inseam.adapters.duckdb import sweep_layout as layouts
from inseam.adapters.duckdb.sweep_answer import KINDS, PLACES, Answer, Ask, Column, Task
from inseam.adapters.duckdb.sweep_crew import Crew, frozen
from inseam.adapters.duckdb.sweep_layout import EARLIEST, LATEST, Array, Layout

__all__ = ["KINDS", "Answer", "Ask", "Column", "sweep"]


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
            task = Task(crew, layout, order, columns, column, spine_boundary.size)
            for mask in dict.fromkeys(ask.mask for ask in asks if ask.column == column):
                answers |= task.answer([ask for ask in asks if (ask.column, ask.mask) == (column, mask)], mask)
    return [answers[ask] for ask in asks]


def _check(ask: Ask, columns: dict[str, Column]) -> None:
    if ask.kind not in KINDS:
        raise ValueError(f"unknown aggregate {ask.kind!r}: expected one of {', '.join(KINDS)}")
    if ask.column is None and ask.kind not in ("count", *PLACES):
        raise ValueError(f"{ask.kind} needs a column")
    if ask.kind in ("last_n", "top_k") and ask.nth < 1:
        raise ValueError(f"{ask.kind} is asked for number {ask.nth}: expected 1 or more")
    if ask.over_us is not None and ask.over_us < 0:
        raise ValueError(f"over_us must not be negative, found {ask.over_us}")
    for name in (ask.column, ask.mask):
        if name is not None and columns[name].values.dtype not in (np.float64, np.int64, np.bool_):
            raise ValueError(f"column {name!r} must be float64, int64 or bool, found {columns[name].values.dtype}")


_NONE = frozen(None, np.int64)


def _deal(crew: Crew, key: Array, ts: Array, is_wanted: Array, ts_from: int, ts_to: int) -> tuple[Array, Array, Array]:
    """(starts int64[K+1], order int32, ts by position): the wanted rows of the time range, bucketed by key, stable."""
    key, ts = frozen(key, np.int64), frozen(ts, np.int64)
    parts = crew.even(ts.size if ts.size > 4 * is_wanted.size else 0)  # counting per part must not outweigh the rows
    parts[-1] = ts.size
    counts = np.zeros((parts.size - 1, is_wanted.size), np.int64)

    def count(a: int, b: int) -> None:
        layouts.count_keys(key, ts, is_wanted, ts_from, ts_to, int(parts[a]), int(parts[b]), counts[a])

    def deal(a: int, b: int) -> None:
        layouts.deal_keys(key, ts, is_wanted, ts_from, ts_to, int(parts[a]), int(parts[b]), cursors[a], order)

    crew.split(count, np.arange(parts.size))
    starts = np.concatenate([[0], np.cumsum(counts.sum(axis=0))])
    cursors = np.cumsum(counts, axis=0) - counts + starts[:-1]
    order, sorted_ts = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.int64)
    crew.split(deal, np.arange(parts.size))
    crew.split(layouts.gather, crew.even(order.size), order, ts, sorted_ts)
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
    known, seq = frozen(events.known, np.int64), frozen(events.seq, np.int64)
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
    known, given = frozen(events.known, np.int64), frozen(events.late, np.bool_)
    any_late = bool(given.any()) if given.size else layouts.has_late(frozen(events.ts, np.int64), known, every, lag)
    if not any_late:
        return nothing
    enter = np.empty(order.size, np.int64)
    cuts = crew.by_load(starts)
    crew.split(layouts.entries, cuts, starts, order, ts, known, given, every, lag, enter, is_late)
    entry_order, sorted_enter = np.arange(order.size, dtype=np.int32), enter.copy()
    crew.split(layouts.sort_runs, cuts, starts, entry_order, sorted_enter, _NONE, _NONE)
    return enter, entry_order, sorted_enter
