# ruff: noqa: FBT001 - compiled loops take their arguments by position
"""What `sweep_sums` leaves to do: windows that prefix sums can't promise, and windows with infinite or NaN cells.

Both are rare, so that they are kernels of their own, compiled only where they are needed.
"""

import math

import numpy as np

from inseam.adapters.duckdb.sweep_layout import Array, Layout, is_idle, kernel, line_up, longest_run
from inseam.adapters.duckdb.sweep_sums import two_sum


@kernel
def _take(layout: Layout, key: int, w: int, s: int, cells: Array, passing: Array, taken: Array) -> int:
    """Copy the finite cells that count for sorted spine row s; returns how many."""
    enter, late, boundary = layout.enter, layout.is_late[key], layout.boundary[s]
    size = 0
    for p in range(layout.begin[w, s], layout.end[s]):
        counts = (passing.size == 0 or passing[p]) and (not late or enter[p] <= boundary)
        if counts and math.isfinite(cells[p]):
            taken[size] = cells[p]
            size += 1
    return size


@kernel
def _exact_sum(cells: Array, scale: float, parts: Array) -> float:
    """Sum of scale * cell by Shewchuk's method: parts holds the exact sum as numbers that don't overlap."""
    used = 0
    for cell in cells:
        x = cell * scale
        kept = 0
        for i in range(used):
            x, rest = two_sum(x, parts[i])
            if rest != 0.0:
                parts[kept] = rest
                kept += 1
        parts[kept] = x
        used = kept + 1
    total = 0.0
    for i in range(used):
        total += parts[i]  # from the least: the last addition rounds once
    return total


@kernel
def _exact_deviation(cells: Array, greatest: float, parts: Array) -> float:
    """Sample standard deviation by two passes, the second correcting the mean; 0 for less than 2 cells."""
    if cells.size < 2:  # all others of the window are NaN or infinite
        return 0.0
    scale = 2.0**-600 if greatest > 1e100 else (2.0**600 if greatest < 1e-100 else 1.0)  # keeps squares in range
    mean = _exact_sum(cells, scale, parts) / cells.size
    total = squares = 0.0
    for cell in cells:
        d = cell * scale - mean
        total += d
        squares += d * d
    return math.sqrt(max(squares - total * total / cells.size, 0.0) / (cells.size - 1)) / scale


@kernel
def redo_unsure(
    c0: int, c1: int, layout: Layout, windows: Array, is_spread: bool, cells: Array, passing: Array, out: Array
) -> None:
    """Replace each NaN in out float64[len(windows), m] by the sum or deviation of the window's finite cells."""
    parts = np.empty(64, np.float64)
    taken = np.empty(longest_run(layout, c0, c1), np.float64)
    for key in range(c0, c1):
        for s in range(layout.spine_start[key], layout.spine_start[key + 1]):
            for k in range(windows.size):
                if math.isnan(out[k, layout.spine_row[s]]):
                    found = taken[: _take(layout, key, windows[k], s, cells, passing, taken)]
                    greatest = 0.0
                    for cell in found:
                        greatest = max(greatest, abs(cell))
                    if is_spread:
                        result = _exact_deviation(found, greatest, parts)
                    else:
                        scale = 2.0**-64 if greatest > 1e285 else 1.0
                        result = _exact_sum(found, scale, parts) / scale
                    out[k, layout.spine_row[s]] = result


@kernel
def _odd_prefix(line: Array, size: int, cells: Array, out: Array) -> None:
    """Running count of cells that force the sum up (inf or NaN: low 32 bits) and down (-inf or NaN: high 32 bits)."""
    total = 0
    out[0] = 0
    for i in range(size):
        if line[i] >= 0 and not math.isfinite(cells[line[i]]):
            total += (0 if cells[line[i]] < 0 else 1) + (0 if cells[line[i]] > 0 else 1 << 32)
        out[i + 1] = total


@kernel
def mark_odd(
    c0: int, c1: int, layout: Layout, windows: Array, is_spread: bool, cells: Array, passing: Array, out: Array
) -> None:
    """Overwrite the results of windows that hold a NaN or an infinity: their finite cells are beside the point."""
    begin, entered, spine_row = layout.begin, layout.entered, layout.spine_row
    longest = longest_run(layout, c0, c1)
    lines = np.empty((2, longest), np.int32)
    totals = np.empty((2, longest + 1), np.int64)
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
                _odd_prefix(lines[0], size, cells, totals[0])
            if late:
                _odd_prefix(lines[1], size, cells, totals[1])
            for s in range(layout.spine_start[key], layout.spine_start[key + 1]):
                odd = totals[0, entered[s] - first] - gone[begin[windows[k], s] - first]
                ups, downs = odd & 0xFFFFFFFF, odd >> 32
                if ups or downs:
                    only = math.inf if ups else -math.inf
                    out[k, spine_row[s]] = math.nan if is_spread or (ups and downs) else only
