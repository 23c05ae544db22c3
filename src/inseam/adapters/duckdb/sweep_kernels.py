"""Compiled loops over a Layout that answer counts, integer sums, extremes, first and last, and distinct.

Each takes a range of keys c0..c1 (so that threads share the work), the windows to answer (indices into layout.over),
cells by position, and `passing` (bool by position: the cell is not NULL and the mask lets the row through; empty = all).
"""

import numpy as np

from inseam.adapters.duckdb.sweep_layout import EARLIEST, LATEST, Array, Layout, is_counted, kernel

MAX, MIN, LAST, FIRST = 0, 1, 2, 3


@kernel
def longest_run(layout: Layout, c0: int, c1: int) -> int:
    """Most events that any of the keys c0..c1 has."""
    longest = 0
    for key in range(c0, c1):
        longest = max(longest, layout.event_start[key + 1] - layout.event_start[key])
    return longest


@kernel
def _tally_prefix(
    layout: Layout, key: int, over: int, by_entry: bool, values: Array, passing: Array, out: Array
) -> None:
    """Running total of the key's values (ones if empty), in order of position or of entry."""
    first = layout.event_start[key]
    total = 0
    out[0] = 0
    for i in range(layout.event_start[key + 1] - first):
        p = layout.entry_order[first + i] if by_entry else first + i
        if is_counted(layout, key, p, over, passing):
            total += values[p] if values.size else 1
        out[i + 1] = total


@kernel
def tally(c0: int, c1: int, layout: Layout, windows: Array, values: Array, passing: Array, out: Array) -> None:
    """Counts (values empty) or exact int64 sums of the passing rows, into out int64[len(windows), m]."""
    longest = longest_run(layout, c0, c1)
    joined = np.empty(longest + 1, np.int64)
    left = np.empty(longest + 1, np.int64)
    for key in range(c0, c1):
        first = layout.event_start[key]
        if layout.spine_start[key] == layout.spine_start[key + 1] or first == layout.event_start[key + 1]:
            continue
        is_range = values.size == 0 and passing.size == 0 and not layout.is_late[key]
        gone = left if layout.is_late[key] else joined
        if not is_range and not layout.is_late[key]:
            _tally_prefix(layout, key, -1, False, values, passing, joined)
        for k in range(windows.size):
            w = windows[k]
            if layout.is_late[key]:
                _tally_prefix(layout, key, layout.over[w], True, values, passing, joined)
                _tally_prefix(layout, key, layout.over[w], False, values, passing, left)
            for s in range(layout.spine_start[key], layout.spine_start[key + 1]):
                b, e = layout.begin[w, s], layout.entered[s]
                total = e - b if is_range else joined[e - first] - gone[b - first]
                out[k, layout.spine_row[s]] = total


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
    return ~bits if mode == MIN else bits


@kernel
def _pick_on_time(
    layout: Layout, key: int, windows: Array, ranks: Array, passing: Array, stack: Array, heads: Array, out: Array
) -> None:
    """Best row per window by one stack of falling ranks: row i leaves it when a later row is at least as good."""
    first = layout.event_start[key]
    top = 0
    end = first
    heads[:] = 0  # per window, places of the stack below it are known to lie before the window
    for s in range(layout.spine_start[key], layout.spine_start[key + 1]):
        lowest = top
        while end < layout.end[s]:
            if passing.size == 0 or passing[end]:
                while top > 0 and ranks[stack[top - 1] - first] <= ranks[end - first]:
                    top -= 1
                stack[top] = end
                lowest = min(lowest, top)
                top += 1
            end += 1
        for k in range(windows.size):
            begin = layout.begin[windows[k], s]
            at = min(heads[k], lowest)
            while at < top and stack[at] < begin:
                at += 1
            heads[k] = at
            out[k, layout.spine_row[s]] = stack[at] if at < top else -1


@kernel
def _pick_late(
    layout: Layout, key: int, windows: Array, ranks: Array, passing: Array, tree: Array, out: Array
) -> None:
    """Best row per window by a tournament tree over positions, which rows join as they enter."""
    first = layout.event_start[key]
    leaves = 1
    while leaves < layout.event_start[key + 1] - first:
        leaves *= 2
    tree[: 2 * leaves] = -1
    entered = first
    for s in range(layout.spine_start[key], layout.spine_start[key + 1]):
        while entered < layout.entered[s]:
            p = layout.entry_order[entered] - first
            entered += 1
            if passing.size == 0 or passing[p + first]:
                node = leaves + p
                while node > 0 and (tree[node] < 0 or ranks[tree[node]] < ranks[p]):
                    tree[node] = p
                    node //= 2
        for k in range(windows.size):
            node = min(leaves + layout.begin[windows[k], s] - first, 2 * leaves - 1)
            best = tree[node]
            while node > 1:
                other = tree[node + 1] if node % 2 == 0 else -1
                if other >= 0 and (best < 0 or ranks[other] > ranks[best]):
                    best = other
                node //= 2
            is_inside = best >= 0 and best + first >= layout.begin[windows[k], s]
            out[k, layout.spine_row[s]] = best + first if is_inside else -1


@kernel
def pick(
    c0: int, c1: int, layout: Layout, windows: Array, mode: int, is_float: bool, cells: Array, passing: Array, out: Array
) -> None:
    """Position of the MAX, MIN, LAST or FIRST passing row of each window, -1 for none, into out int32[W, m]."""
    longest = longest_run(layout, c0, c1)
    ranks = np.empty(longest, np.int64)
    scratch = np.empty(4 * longest + 2, np.int32)
    heads = np.empty(windows.size, np.int64)
    for key in range(c0, c1):
        first, last = layout.event_start[key], layout.event_start[key + 1]
        if first == last or layout.spine_start[key] == layout.spine_start[key + 1]:
            continue
        for p in range(first, last):
            ranks[p - first] = rank(mode, is_float, p, cells)
        if layout.is_late[key]:
            _pick_late(layout, key, windows, ranks, passing, scratch, out)
        else:
            _pick_on_time(layout, key, windows, ranks, passing, scratch, heads, out)


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
def distinct(
    c0: int, c1: int, layout: Layout, windows: Array, is_float: bool, cells: Array, passing: Array, out: Array
) -> None:
    """Different values among the passing rows of each window: a multiset that rows join and leave."""
    longest = longest_run(layout, c0, c1)
    codes = np.empty(longest, np.int32)
    slots = np.empty(4 * longest + 2, np.int32)
    held = np.empty(longest, np.int32)
    for key in range(c0, c1):
        first, last = layout.event_start[key], layout.event_start[key + 1]
        if first == last or layout.spine_start[key] == layout.spine_start[key + 1]:
            continue
        late = layout.is_late[key]
        different = _number(first, last, cells, is_float, slots, codes)
        for k in range(windows.size):
            over = layout.over[windows[k]]
            held[:different] = 0
            count = 0
            joined = first
            gone = first
            for s in range(layout.spine_start[key], layout.spine_start[key + 1]):
                for i in range(joined, layout.entered[s]):
                    p = layout.entry_order[i] if late else i
                    if is_counted(layout, key, p, over, passing):
                        count += held[codes[p - first]] == 0
                        held[codes[p - first]] += 1
                joined = layout.entered[s]
                for p in range(gone, layout.begin[windows[k], s]):
                    if is_counted(layout, key, p, over, passing):
                        held[codes[p - first]] -= 1
                        count -= held[codes[p - first]] == 0
                gone = layout.begin[windows[k], s]
                out[k, layout.spine_row[s]] = count
