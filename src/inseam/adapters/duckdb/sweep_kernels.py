# ruff: noqa: FBT001 - compiled loops take their arguments by position
"""Compiled loops over a Layout that answer counts, integer sums, extremes, first and last, and distinct.

Each takes a range of keys c0..c1 (so that threads share the work), the windows to answer (indices into layout.over),
cells by position, and `passing` (bool by position: the cell is not NULL, the mask lets the row through; empty = all).
"""

import numpy as np

from inseam.adapters.duckdb.sweep_layout import EARLIEST, LATEST, Array, Layout, is_idle, kernel, line_up, longest_run

MAX, MIN, LAST, FIRST = 0, 1, 2, 3


@kernel
def _running_total(line: Array, size: int, values: Array, out: Array) -> None:
    """Prefix totals of the values (ones if empty) along a line of positions."""
    total = 0
    out[0] = 0
    for i in range(size):
        if line[i] >= 0:
            total += values[line[i]] if values.size else 1
        out[i + 1] = total


@kernel
def _tally_ranges(layout: Layout, c0: int, c1: int, w: int, out: Array) -> None:
    """Counts where every row passes and none is late: the lengths of the windows."""
    begin, end, spine_row = layout.begin, layout.end, layout.spine_row
    for s in range(layout.spine_start[c0], layout.spine_start[c1]):
        out[spine_row[s]] = end[s] - begin[w, s]


@kernel
def tally(c0: int, c1: int, layout: Layout, windows: Array, values: Array, passing: Array, out: Array) -> None:
    """Counts (values empty) or exact int64 sums of the passing rows, into out int64[len(windows), m]."""
    if values.size == 0 and passing.size == 0 and layout.enter.size == 0:
        for k in range(windows.size):
            _tally_ranges(layout, c0, c1, windows[k], out[k])
        return
    longest = longest_run(layout, c0, c1)
    lines = np.empty((2, longest), np.int32)
    totals = np.empty((2, longest + 1), np.int64)
    begin, entered, spine_row = layout.begin, layout.entered, layout.spine_row
    for key in range(c0, c1):
        if is_idle(layout, key):
            continue
        first = layout.event_start[key]
        size = layout.event_start[key + 1] - first
        late = layout.is_late[key]
        gone = totals[1 if late else 0]
        for k in range(windows.size):
            if late or k == 0:
                line_up(layout, key, layout.over[windows[k]], passing, lines[0], lines[1])
                _running_total(lines[0], size, values, totals[0])
            if late:
                _running_total(lines[1], size, values, totals[1])
            for s in range(layout.spine_start[key], layout.spine_start[key + 1]):
                out[k, spine_row[s]] = totals[0, entered[s] - first] - gone[begin[windows[k], s] - first]


@kernel
def rank(mode: int, is_float: bool, position: int, cells: Array) -> int:
    """An int64 that is greater the better the row: value for MAX, its mirror for MIN, place for LAST and FIRST."""
    if mode == LAST:
        return position
    if mode == FIRST:
        return -position
    bits = cells[position]
    if is_float:
        if (bits & LATEST) > 0x7FF0000000000000:
            bits = LATEST  # NaN is greater than every number, as in SQL engines
        elif bits == EARLIEST:
            bits = 0  # -0.0 equals 0.0
        elif bits < 0:
            bits ^= LATEST  # turns the order of negative floats' bits the right way round
    return int(~bits if mode == MIN else bits)


@kernel
def _rank_rows(first: int, last: int, mode: int, is_float: bool, cells: Array, ranks: Array) -> None:
    """Ranks of one key's rows, from place 0."""
    for p in range(first, last):
        ranks[p - first] = rank(mode, is_float, p, cells)


@kernel
def pick(
    c0: int,
    c1: int,
    layout: Layout,
    windows: Array,
    mode: int,
    is_float: bool,
    cells: Array,
    passing: Array,
    out: Array,
) -> None:
    """Position of the MAX, MIN, LAST or FIRST passing row of each window, -1 for none, into out int32[W, m].

    A stack keeps rows of falling rank: a row leaves it when a later row is at least as good. Keys with late rows are
    left to pick_late.
    """
    all_begin, all_end, spine_row = layout.begin, layout.end, layout.spine_row
    longest = longest_run(layout, c0, c1)
    ranks, stack = np.empty(longest, np.int64), np.empty(longest, np.int32)
    heads = np.empty(windows.size, np.int64)
    for key in range(c0, c1):
        if is_idle(layout, key) or layout.is_late[key]:
            continue
        first = end = layout.event_start[key]
        _rank_rows(first, layout.event_start[key + 1], mode, is_float, cells, ranks)
        top = 0
        heads[:] = 0  # per window, places of the stack below it are known to lie before the window
        for s in range(layout.spine_start[key], layout.spine_start[key + 1]):
            lowest = top
            for p in range(end, all_end[s]):
                if passing.size == 0 or passing[p]:
                    while top > 0 and ranks[stack[top - 1] - first] <= ranks[p - first]:
                        top -= 1
                    stack[top] = p
                    lowest = min(lowest, top)
                    top += 1
            end = all_end[s]
            for k in range(windows.size):
                at = min(heads[k], lowest)
                while at < top and stack[at] < all_begin[windows[k], s]:
                    at += 1
                heads[k] = at
                out[k, spine_row[s]] = stack[at] if at < top else -1


@kernel
def _best_from(tree: Array, leaves: int, place: int, ranks: Array) -> int:
    """Place of the best row at or after a place, -1 for none."""
    node = min(leaves + place, 2 * leaves - 1)
    best = tree[node]
    while node > 1:
        other = tree[node + 1] if node % 2 == 0 else -1
        if other >= 0 and (best < 0 or ranks[other] > ranks[best]):
            best = other
        node //= 2
    return best if best >= place else -1


@kernel
def pick_late(
    c0: int,
    c1: int,
    layout: Layout,
    windows: Array,
    mode: int,
    is_float: bool,
    cells: Array,
    passing: Array,
    out: Array,
) -> None:
    """What pick does, for keys with late rows: by a tournament tree over positions, which rows join as they enter."""
    all_begin, all_entered, spine_row = layout.begin, layout.entered, layout.spine_row
    entry_order = layout.entry_order
    longest = longest_run(layout, c0, c1)
    ranks, tree = np.empty(longest, np.int64), np.empty(4 * longest + 2, np.int32)
    for key in range(c0, c1):
        if is_idle(layout, key) or not layout.is_late[key]:
            continue
        first = entered = layout.event_start[key]
        _rank_rows(first, layout.event_start[key + 1], mode, is_float, cells, ranks)
        leaves = 1
        while leaves < layout.event_start[key + 1] - first:
            leaves *= 2
        tree[: 2 * leaves] = -1
        for s in range(layout.spine_start[key], layout.spine_start[key + 1]):
            for i in range(entered, all_entered[s]):
                p = entry_order[i] - first
                if passing.size == 0 or passing[p + first]:
                    node = leaves + p
                    while node > 0 and (tree[node] < 0 or ranks[tree[node]] < ranks[p]):
                        tree[node] = p
                        node //= 2
            entered = all_entered[s]
            for k in range(windows.size):
                best = _best_from(tree, leaves, all_begin[windows[k], s] - first, ranks)
                out[k, spine_row[s]] = best + first if best >= 0 else -1


@kernel
def _number(first: int, last: int, cells: Array, is_float: bool, slots: Array, codes: Array) -> int:
    """Number the key's different values 0, 1, ... by an open hash table of first positions; returns how many."""
    room = 2
    while room < 2 * (last - first):
        room *= 2
    slots[:room] = -1
    different = 0
    for p in range(first, last):
        value = rank(MAX, is_float, p, cells)
        h = value * -7046029254386353131
        at = (h ^ (h >> 32)) & (room - 1)
        while slots[at] >= 0 and rank(MAX, is_float, slots[at], cells) != value:
            at = (at + 1) & (room - 1)
        if slots[at] < 0:
            slots[at] = p
            codes[p - first] = different
            different += 1
        else:
            codes[p - first] = codes[slots[at] - first]
    return different


@kernel
def _count_distinct(
    layout: Layout, key: int, w: int, codes: Array, held: Array, joining: Array, leaving: Array, out: Array
) -> None:
    """Walk one key's windows of one length with the number of times that each value is held."""
    begin, entered, spine_row = layout.begin, layout.entered, layout.spine_row
    first = layout.event_start[key]
    count = joined = gone = 0
    for s in range(layout.spine_start[key], layout.spine_start[key + 1]):
        for i in range(joined, entered[s] - first):
            if joining[i] >= 0:
                code = codes[joining[i] - first]
                count += 1 if held[code] == 0 else 0
                held[code] += 1
        joined = entered[s] - first
        for i in range(gone, begin[w, s] - first):
            if leaving[i] >= 0:
                code = codes[leaving[i] - first]
                held[code] -= 1
                count -= 1 if held[code] == 0 else 0
        gone = begin[w, s] - first
        out[spine_row[s]] = count


@kernel
def distinct(
    c0: int, c1: int, layout: Layout, windows: Array, is_float: bool, cells: Array, passing: Array, out: Array
) -> None:
    """Different values among the passing rows of each window, into out int64[len(windows), m]."""
    longest = longest_run(layout, c0, c1)
    codes = np.empty(longest, np.int32)
    slots = np.empty(4 * longest + 2, np.int32)
    held = np.empty(longest, np.int32)
    lines = np.empty((2, longest), np.int32)
    for key in range(c0, c1):
        if is_idle(layout, key):
            continue
        different = _number(layout.event_start[key], layout.event_start[key + 1], cells, is_float, slots, codes)
        for k in range(windows.size):
            held[:different] = 0
            line_up(layout, key, layout.over[windows[k]], passing, lines[0], lines[1])
            leaving = lines[1 if layout.is_late[key] else 0]
            _count_distinct(layout, key, windows[k], codes, held, lines[0], leaving, out[k])
