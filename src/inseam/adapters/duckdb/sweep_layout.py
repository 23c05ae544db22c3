"""Sorting events and spine into per-key runs, and where each spine row's windows begin and end: compiled loops.

A *position* is an index into the events after they are sorted by (key, ts, known, seq). A late row becomes visible only
at its entry instant, so each row is visible for the boundaries `enter <= b <= ts + over`. Both ends can be sorted on
their own: what is in the window at b is what has entered by b less what has left by b. That one idea serves on-time
rows (who enter in order of ts) and late ones alike, and it needs no grouping of rows by the load they came with.
All instants are int64 microseconds. Nothing is compiled before its first call; compiled code is kept on disk.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])
Array = np.ndarray[Any, Any]

EARLIEST = np.iinfo(np.int64).min
LATEST = np.iinfo(np.int64).max
_BLOCK = 16  # runs of this length are sorted by insertion


def kernel(function: Function) -> Function:
    """Compile on first call, keep the machine code on disk, and run without the interpreter's lock."""
    return cast(Function, njit(cache=True, nogil=True)(function))


class Layout(NamedTuple):
    """Events and spine, both sorted by key, and where each spine row's windows begin and end."""

    event_start: Array  # int64[K+1]: first position of each key
    spine_start: Array  # int64[K+1]: first sorted spine row of each key
    spine_row: Array  # int32[M]: sorted spine row -> row of the caller's spine
    boundary: Array  # int64[M]
    ts: Array  # int64[N] by position
    is_late: Array  # bool[K]: keys with at least one late row
    enter: Array  # int64[N] by position: first boundary that sees the row; empty when nothing is late
    entry_order: Array  # int32[N]: positions of each key by (enter, position); empty when nothing is late
    end: Array  # int32[M]: positions before it have ts < boundary
    entered: Array  # int32[M]: entry_order before it has enter <= boundary; equals end for keys without late rows
    begin: Array  # int32[W, M]: positions before it have ts < boundary - over
    over: Array  # int64[W], -1 = since the beginning


@kernel
def _add(a: int, b: int) -> int:
    """a + b, held at the ends of int64 instead of wrapping (b >= 0)."""
    return a + b if a <= LATEST - b else LATEST


@kernel
def _subtract(a: int, b: int) -> int:
    """a - b, held at the ends of int64 instead of wrapping (b >= 0)."""
    return a - b if a >= EARLIEST + b else EARLIEST


@kernel
def is_kept(enter: int, ts: int, over: int) -> bool:
    """Whether any boundary at all sees the row: one that enters after it has left the window is never visible."""
    return over < 0 or enter <= _add(ts, over)


@kernel
def look_up(values: Array, lowest: int, codes: Array, out: Array) -> None:
    """out[i] = codes[values[i] - lowest], -1 outside of them."""
    for i in range(values.size):
        place = _subtract(values[i], lowest)
        out[i] = codes[place] if 0 <= place < codes.size else -1


@kernel
def count_keys(
    keys: Array, ts: Array, is_wanted: Array, ts_from: int, ts_to: int, start: int, stop: int, counts: Array
) -> None:
    """Rows of each wanted key with ts_from <= ts <= ts_to among rows start..stop, into counts int64[K]."""
    key_count = is_wanted.size
    for i in range(start, stop):
        key = keys[i]
        if 0 <= key < key_count and is_wanted[key] and ts_from <= ts[i] <= ts_to:
            counts[key] += 1


@kernel
def deal_keys(
    keys: Array, ts: Array, is_wanted: Array, ts_from: int, ts_to: int, start: int, stop: int,
    cursor: Array, order: Array,
) -> None:  # fmt: skip
    """Put the number of each row that count_keys counted at its key's cursor.

    Nothing else is written: with many keys each write misses the cache, and gathering the rest afterwards is cheaper.
    """
    key_count = is_wanted.size
    for i in range(start, stop):
        key = keys[i]
        if 0 <= key < key_count and is_wanted[key] and ts_from <= ts[i] <= ts_to:
            order[cursor[key]] = i
            cursor[key] += 1


@kernel
def _is_after(ts_a: int, a: int, ts_b: int, b: int, known: Array, seq: Array) -> bool:
    """Whether row a sorts strictly after row b by (ts, known, seq); an empty array takes no part."""
    if ts_a != ts_b:
        return ts_a > ts_b
    if known.size and known[a] != known[b]:
        return bool(known[a] > known[b])
    return bool(seq.size and seq[a] > seq[b])


@kernel
def _merge(
    order: Array, ts: Array, first: int, middle: int, last: int, known: Array, seq: Array, rows: Array, times: Array
) -> None:
    """Merge two sorted neighbours in place; only the left one is copied aside."""
    left = middle - first
    for i in range(left):
        rows[i] = order[first + i]
        times[i] = ts[first + i]
    i = 0
    j = middle
    at = first
    while i < left:
        if j < last and _is_after(times[i], rows[i], ts[j], order[j], known, seq):
            order[at] = order[j]
            ts[at] = ts[j]
            j += 1
        else:
            order[at] = rows[i]
            ts[at] = times[i]
            i += 1
        at += 1


@kernel
def _sort(order: Array, ts: Array, first: int, last: int, known: Array, seq: Array) -> None:
    """Stable merge sort of one key's run, near linear where the run is a few ascending loads end to end."""
    for block in range(first, last, _BLOCK):
        for i in range(block + 1, min(block + _BLOCK, last)):
            row = order[i]
            time = ts[i]
            j = i
            while j > block and _is_after(ts[j - 1], order[j - 1], time, row, known, seq):
                order[j] = order[j - 1]
                ts[j] = ts[j - 1]
                j -= 1
            order[j] = row
            ts[j] = time
    size = last - first
    if size <= _BLOCK:
        return
    rows = np.empty(size, np.int32)
    times = np.empty(size, np.int64)
    width = _BLOCK
    while width < size:
        for begin in range(first, last - width, 2 * width):
            middle = begin + width
            if _is_after(ts[middle - 1], order[middle - 1], ts[middle], order[middle], known, seq):
                _merge(order, ts, begin, middle, min(middle + width, last), known, seq, rows, times)
        width *= 2


@kernel
def sort_runs(c0: int, c1: int, starts: Array, order: Array, ts: Array, known: Array, seq: Array) -> None:
    """Sort the runs of keys c0..c1 by (ts, known, seq), looking first whether there is anything to do."""
    for key in range(c0, c1):
        for i in range(starts[key] + 1, starts[key + 1]):
            if _is_after(ts[i - 1], order[i - 1], ts[i], order[i], known, seq):
                _sort(order, ts, starts[key], starts[key + 1], known, seq)
                break


@kernel
def _is_late(ts: int, known: int, every: int, lag: int) -> bool:
    """Whether the first boundary after ts is published before the row is known."""
    if known <= _add(_add(ts, 1), lag):
        return False
    boundary = _add(_subtract(ts, ts % every), every) if every > 0 else _add(ts, 1)
    return known > _add(boundary, lag)


@kernel
def has_late(ts: Array, known: Array, every: int, lag: int) -> bool:
    """Whether any row is late."""
    for i in range(ts.size):  # noqa: SIM110 - a generator would not compile
        if _is_late(ts[i], known[i], every, lag):
            return True
    return False


@kernel
def entries(
    c0: int, c1: int, starts: Array, order: Array, ts: Array, known: Array, given: Array,
    every: int, lag: int, enter: Array, is_late: Array,
) -> None:  # fmt: skip
    """The first boundary that sees each row, by position; marks keys with late rows. given overrides lateness."""
    for key in range(c0, c1):
        for i in range(starts[key], starts[key + 1]):
            row = order[i]
            enter[i] = _add(ts[i], 1)
            late = given[row] if given.size else _is_late(ts[i], known[row], every, lag)
            if late and _subtract(known[row], lag) > enter[i]:
                enter[i] = _subtract(known[row], lag)
                is_late[key] = True


@kernel
def bounds(c0: int, c1: int, layout: Layout, sorted_enter: Array) -> None:
    """Fill end, entered and begin by walking each key's events beside its spine rows."""
    ts, boundary, all_end, all_begin = layout.ts, layout.boundary, layout.end, layout.begin
    all_entered, over = layout.entered, layout.over
    for key in range(c0, c1):
        first, last = layout.event_start[key], layout.event_start[key + 1]
        s0, s1 = layout.spine_start[key], layout.spine_start[key + 1]
        late = layout.is_late[key]
        end = first
        entered = first
        for s in range(s0, s1):
            while end < last and ts[end] < boundary[s]:
                end += 1
            while late and entered < last and sorted_enter[entered] <= boundary[s]:
                entered += 1
            all_end[s] = end
            all_entered[s] = entered if late else end
        for w in range(over.size):
            begin = first
            for s in range(s0, s1):
                if over[w] >= 0:
                    oldest = _subtract(boundary[s], over[w])
                    while begin < all_end[s] and ts[begin] < oldest:
                        begin += 1
                all_begin[w, s] = begin


@kernel
def gather(start: int, stop: int, order: Array, source: Array, out: Array) -> None:
    """out[p] = source[order[p]] for 8-byte cells (floats are passed as their bits)."""
    for i in range(start, stop):
        out[i] = source[order[i]]


@kernel
def gather_passing(start: int, stop: int, order: Array, valid: Array, mask: Array, out: Array) -> None:
    """out[p] = whether the row counts: its cell is not NULL and the mask lets it through; empty arrays pass all."""
    for i in range(start, stop):
        row = order[i]
        out[i] = (valid.size == 0 or valid[row]) and (mask.size == 0 or mask[row])


@kernel
def longest_run(layout: Layout, c0: int, c1: int) -> int:
    """Most events that any of the keys c0..c1 has."""
    longest = 0
    for key in range(c0, c1):
        longest = max(longest, layout.event_start[key + 1] - layout.event_start[key])
    return longest


@kernel
def is_idle(layout: Layout, key: int) -> bool:
    """Whether the key has no events or no spine rows."""
    return bool(
        layout.event_start[key] == layout.event_start[key + 1] or layout.spine_start[key] == layout.spine_start[key + 1]
    )


@kernel
def line_up(layout: Layout, key: int, over: int, passing: Array, joining: Array, leaving: Array) -> None:
    """The key's positions as they join and as they leave windows of one length; -1 for rows that don't count.

    For a key without late rows both orders are that of ts, and only joining is filled.
    """
    first, last = layout.event_start[key], layout.event_start[key + 1]
    enter, ts, entry_order = layout.enter, layout.ts, layout.entry_order
    if not layout.is_late[key]:
        for p in range(first, last):
            joining[p - first] = p if passing.size == 0 or passing[p] else -1
        return
    for i in range(first, last):
        p = entry_order[i]
        joining[i - first] = p if (passing.size == 0 or passing[p]) and is_kept(enter[p], ts[p], over) else -1
        counts = (passing.size == 0 or passing[i]) and is_kept(enter[i], ts[i], over)
        leaving[i - first] = i if counts else -1
