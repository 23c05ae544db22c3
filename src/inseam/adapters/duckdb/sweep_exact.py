"""Sums and deviations of one window, row by row: the careful way for the few windows that prefix sums can't promise."""

import math

import numpy as np

from inseam.adapters.duckdb.sweep_layout import Array, Layout, kernel

_SPLIT = 134217729.0  # 2**27 + 1: Dekker's constant


@kernel
def two_sum(a: float, b: float) -> tuple[float, float]:
    """(s, e) with s = a + b rounded and s + e = a + b exactly (Knuth)."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


@kernel
def two_product(a: float, b: float) -> tuple[float, float]:
    """(p, e) with p = a * b rounded and p + e = a * b exactly, for sizes between 1e-145 and 1e145 (Dekker)."""
    p = a * b
    t = _SPLIT * a
    a_high = t - (t - a)
    a_low = a - a_high
    t = _SPLIT * b
    b_high = t - (t - b)
    b_low = b - b_high
    return p, ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low


@kernel
def is_inside(layout: Layout, key: int, s: int, p: int, passing: Array) -> bool:
    """Whether a row of the window's range of positions counts for sorted spine row s."""
    if passing.size and not passing[p]:
        return False
    return not layout.is_late[key] or layout.enter[p] <= layout.boundary[s]


@kernel
def _greatest(layout: Layout, key: int, w: int, s: int, cells: Array, passing: Array) -> float:
    """The window's greatest finite cell, by size."""
    greatest = 0.0
    for p in range(layout.begin[w, s], layout.end[s]):
        if is_inside(layout, key, s, p, passing) and math.isfinite(cells[p]):
            greatest = max(greatest, abs(cells[p]))
    return greatest


@kernel
def _scaled_sum(
    layout: Layout, key: int, w: int, s: int, scale: float, cells: Array, passing: Array
) -> float:
    """Sum of scale * cell by Shewchuk's method: parts holds the exact sum as numbers that don't overlap."""
    parts = np.empty(64, np.float64)
    used = 0
    for p in range(layout.begin[w, s], layout.end[s]):
        if not is_inside(layout, key, s, p, passing) or not math.isfinite(cells[p]):
            continue
        x = cells[p] * scale
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
def exact_sum(layout: Layout, key: int, w: int, s: int, cells: Array, passing: Array) -> float:
    """Sum of the window's finite cells, rounded about once; infinite only if the sum itself is out of range."""
    scale = 2.0**-64 if _greatest(layout, key, w, s, cells, passing) > 1e285 else 1.0
    return _scaled_sum(layout, key, w, s, scale, cells, passing) / scale


@kernel
def exact_deviation(
    layout: Layout, key: int, w: int, s: int, n: int, cells: Array, passing: Array
) -> float:
    """Sample standard deviation of the window's n finite cells by two passes, the second correcting the mean."""
    greatest = _greatest(layout, key, w, s, cells, passing)
    scale = 2.0**-600 if greatest > 1e100 else (2.0**600 if greatest < 1e-100 else 1.0)  # keeps squares in range
    mean = _scaled_sum(layout, key, w, s, scale, cells, passing) / n
    total = 0.0
    squares = 0.0
    for p in range(layout.begin[w, s], layout.end[s]):
        if is_inside(layout, key, s, p, passing) and math.isfinite(cells[p]):
            d = cells[p] * scale - mean
            total += d
            squares += d * d
    return math.sqrt(max(squares - total * total / n, 0.0) / (n - 1)) / scale
