# ruff: noqa: FBT001 - compiled loops take their arguments by position
"""Compiled exact quantiles over windows: a row costs the logarithm of its key's rows, however many windows hold it.

The cells of a key are ranked once. As rows join and leave a window, a Fenwick tree over the ranks counts those that are
in it, so that the cell at any place of the window's order is found by one descent.
"""

import math

import numpy as np

from inseam.adapters.duckdb.sweep_kernels import MAX, rank
from inseam.adapters.duckdb.sweep_layout import Array, Layout, is_idle, kernel, line_up, longest_run


@kernel
def rank_cells(first: int, last: int, cells: Array, is_float: bool, ranked: Array, place: Array) -> None:
    """ranked: the key's rows by rising cell, from 0; place: where each of them is in that order."""
    size = last - first
    values = np.empty(size, np.int64)
    for i in range(size):
        values[i] = rank(MAX, is_float, first + i, cells)
    ranked[:size] = np.argsort(values, kind="mergesort")
    for i in range(size):
        place[ranked[i]] = i


@kernel
def count_in(tree: Array, size: int, place: int, change: int) -> None:
    """Change how often the cell at a place is in the window."""
    node = place + 1
    while node <= size:
        tree[node] += change
        node += node & -node


@kernel
def at(tree: Array, size: int, wanted: int) -> int:
    """The place whose cell has ``wanted`` others of the window before it."""
    step = 1
    while 2 * step <= size:
        step *= 2
    node = 0
    while step > 0:
        if node + step <= size and tree[node + step] <= wanted:
            node += step
            wanted -= tree[node]
        step //= 2
    return node


@kernel
def _between(tree: Array, size: int, held: int, share: float, is_between: bool, numbers: Array) -> float:
    """The quantile of the cells that are held, interpolated linearly as DuckDB does; 0 where there is none.

    Without ``is_between`` it is a cell: that below.
    """
    if held == 0:
        return 0.0
    exact = share * (held - 1)
    low = math.floor(exact)
    below = float(numbers[at(tree, size, low)])
    if exact == low or not is_between:
        return below
    above = float(numbers[at(tree, size, low + 1)])
    return below * (1.0 - (exact - low)) + above * (exact - low)


@kernel
def _walk(
    layout: Layout, key: int, w: int, place: Array, tree: Array, joining: Array, leaving: Array,
    share: float, is_between: bool, numbers: Array, out: Array,
) -> None:  # fmt: skip
    """Answer one key's windows of one length."""
    begin, entered, spine_row = layout.begin, layout.entered, layout.spine_row
    first = layout.event_start[key]
    size = layout.event_start[key + 1] - first
    tree[: size + 1] = 0
    held = joined = gone = 0
    for s in range(layout.spine_start[key], layout.spine_start[key + 1]):
        for i in range(joined, entered[s] - first):
            if joining[i] >= 0:
                count_in(tree, size, place[joining[i] - first], 1)
                held += 1
        joined = entered[s] - first
        for i in range(gone, begin[w, s] - first):
            if leaving[i] >= 0:
                count_in(tree, size, place[leaving[i] - first], -1)
                held -= 1
        gone = begin[w, s] - first
        out[spine_row[s]] = _between(tree, size, held, share, is_between, numbers)


@kernel
def quantiles(
    c0: int, c1: int, layout: Layout, windows: Array, is_float: bool, cells: Array, numbers: Array, share: float,
    is_between: bool, passing: Array, out: Array,
) -> None:  # fmt: skip
    """The quantile at ``share`` of the passing cells of each window, into out float64[len(windows), m]."""
    longest = longest_run(layout, c0, c1)
    ranked, place = np.empty(longest, np.int64), np.empty(longest, np.int32)
    tree, risen = np.empty(longest + 1, np.int32), np.empty(longest, np.float64)
    lines = np.empty((2, longest), np.int32)
    for key in range(c0, c1):
        if is_idle(layout, key):
            continue
        first, last = layout.event_start[key], layout.event_start[key + 1]
        rank_cells(first, last, cells, is_float, ranked, place)
        for i in range(last - first):
            risen[i] = numbers[first + ranked[i]]
        for k in range(windows.size):
            line_up(layout, key, layout.over[windows[k]], passing, lines[0], lines[1])
            leaving = lines[1 if layout.is_late[key] else 0]
            _walk(layout, key, windows[k], place, tree, lines[0], leaving, share, is_between, risen, out[k])
