# ruff: noqa: FBT001 - compiled loops take their arguments by position
"""Compiled float sums and standard deviations over windows, from prefix sums in double-double arithmetic.

A double-double is an unevaluated pair (high, low) of about 106 bits, so the difference of two prefixes does not show
where the prefix began. Where that can't be promised (cells of very different size, squares that overflow), the result
is left as NaN for `sweep_exact` to sum the window anew. Infinite and NaN cells take no part here; each kernel returns
FOUND_UNSURE and FOUND_ODD as flags of what is left to do. Conventions as in `sweep_kernels`; `counts` holds each
window's passing rows.
"""

import math

import numpy as np

from inseam.adapters.duckdb.sweep_layout import Array, Layout, is_idle, kernel, line_up, longest_run
from inseam.ir import double_double

FOUND_UNSURE, FOUND_ODD = 1, 2
_HUGE = 1e300  # sums of greater size may overflow on the way
_TINY, _VAST = 1e-120, 1e145  # cells whose squares keep all their bits, times any number of rows


two_sum = kernel(double_double.two_sum)
_two_product = kernel(double_double.two_product)


@kernel
def _running_sum(line: Array, size: int, cells: Array, out: Array) -> None:
    """Double-double running sum of the finite cells along a line of positions, into out float64[size + 1, 2]."""
    high = low = 0.0
    out[0, 0] = out[0, 1] = 0.0
    for i in range(size):
        if line[i] >= 0 and math.isfinite(cells[line[i]]):
            high, error = two_sum(high, cells[line[i]])
            high, low = two_sum(high, low + error)
        out[i + 1, 0] = high
        out[i + 1, 1] = low


@kernel
def _doubt(first: int, last: int, cells: Array, passing: Array) -> tuple[float, bool]:
    """(a bound below which a difference of prefixes is not trusted, whether any passing cell is not finite)."""
    size = 0.0
    least = math.inf
    has_odd = False
    for p in range(first, last):
        if passing.size == 0 or passing[p]:
            cell = abs(cells[p])
            if not math.isfinite(cell):
                has_odd = True
            elif cell > 0.0:
                size += cell
                least = min(least, cell)
    if size > _HUGE:
        return math.inf, has_odd
    # Every cell is a multiple of least * 2**-53. If the whole is below 2**103 of those, each prefix is exact.
    if size <= least * 2.0**50:
        return 0.0, has_odd
    return (last - first) * size * 2.0**-68, has_odd  # the error is under 2**-36 of what exceeds this


@kernel
def _sum_windows(
    layout: Layout, key: int, w: int, joined: Array, gone: Array, doubt: float, counts: Array, out: Array
) -> int:
    """Sums of one key's windows of one length; returns FOUND_UNSURE or 0."""
    begin, entered, spine_row = layout.begin, layout.entered, layout.spine_row
    first = layout.event_start[key]
    found = 0
    for s in range(layout.spine_start[key], layout.spine_start[key + 1]):
        if counts[spine_row[s]] > 0:
            e, b = entered[s] - first, begin[w, s] - first
            high, error = two_sum(joined[e, 0], -gone[b, 0])
            total = high + (error + (joined[e, 1] - gone[b, 1]))
            if not abs(total) >= doubt:
                total = math.nan
                found = FOUND_UNSURE
            out[spine_row[s]] = total
    return found


@kernel
def sums(
    c0: int, c1: int, layout: Layout, windows: Array, cells: Array, passing: Array, counts: Array, out: Array
) -> int:
    """Sums of the passing float64 cells, into out float64[len(windows), m]."""
    longest = longest_run(layout, c0, c1)
    lines = np.empty((2, longest), np.int32)
    totals = np.empty((2, longest + 1, 2), np.float64)
    found = 0
    for key in range(c0, c1):
        if is_idle(layout, key):
            continue
        first, last = layout.event_start[key], layout.event_start[key + 1]
        late = layout.is_late[key]
        doubt, has_odd = _doubt(first, last, cells, passing)
        found |= FOUND_ODD if has_odd else 0
        for k in range(windows.size):
            if late or k == 0:
                line_up(layout, key, layout.over[windows[k]], passing, lines[0], lines[1])
                _running_sum(lines[0], last - first, cells, totals[0])
            if late:
                _running_sum(lines[1], last - first, cells, totals[1])
            gone = totals[1 if late else 0]
            found |= _sum_windows(layout, key, windows[k], totals[0], gone, doubt, counts[k], out[k])
    return found


@kernel
def _mean(first: int, last: int, cells: Array, passing: Array, near: float) -> float:
    """Mean of the passing finite cells, computed as near + the mean distance from it."""
    total = 0.0
    count = 0
    for p in range(first, last):
        if (passing.size == 0 or passing[p]) and math.isfinite(cells[p]):
            total += (cells[p] - near) / (last - first)
            count += 1
    return near + total * (last - first) / max(count, 1)


@kernel
def _greatest_distance(first: int, last: int, cells: Array, passing: Array, centre: float) -> tuple[float, bool, bool]:
    """(greatest |cell - centre|, whether all these differences are exact, whether any passing cell is not finite)."""
    greatest = 0.0
    is_exact, has_odd = True, False
    for p in range(first, last):
        if passing.size == 0 or passing[p]:
            if math.isfinite(cells[p]):
                difference, error = two_sum(cells[p], -centre)
                greatest = max(greatest, abs(difference))
                is_exact = is_exact and error == 0.0
            else:
                has_odd = True
    return greatest, is_exact, has_odd


@kernel
def _centre(first: int, last: int, cells: Array, passing: Array) -> tuple[float, bool, bool]:
    """(what to subtract from each cell so that squares stay small, whether squares may over- or underflow, any odd)."""
    centre = _mean(first, last, cells, passing, _mean(first, last, cells, passing, 0.0))
    greatest, is_exact, has_odd = _greatest_distance(first, last, cells, passing, centre)
    if not is_exact:  # a rounded shift would move cells apart: better none
        centre = 0.0
        greatest, is_exact, has_odd = _greatest_distance(first, last, cells, passing, centre)
    return centre, greatest > _VAST or 0.0 < greatest < _TINY, has_odd


@kernel
def _running_squares(line: Array, size: int, centre: float, cells: Array, out: Array) -> None:
    """Double-double running sums of d = cell - centre and of d * d, and length of the run of equal cells so far."""
    high = low = square_high = square_low = equal = previous = 0.0
    out[0, :] = 0.0
    for i in range(size):
        if line[i] >= 0 and math.isfinite(cells[line[i]]):
            d = cells[line[i]] - centre
            high, error = two_sum(high, d)
            high, low = two_sum(high, low + error)
            square, rest = _two_product(d, d)
            square_high, error = two_sum(square_high, square)
            square_high, square_low = two_sum(square_high, square_low + (error + rest))
            equal = equal + 1.0 if d == previous else 1.0
            previous = d
        out[i + 1, 0] = high
        out[i + 1, 1] = low
        out[i + 1, 2] = square_high
        out[i + 1, 3] = square_low
        out[i + 1, 4] = equal


@kernel
def _spread(n: float, rows: float, total: Array, joined: Array, gone: Array) -> tuple[float, bool]:
    """(variance of n cells, whether to trust it) from two prefixes; total is the prefix of all the key's rows."""
    high, error = two_sum(joined[0], -gone[0])
    high, low = two_sum(high, error + (joined[1] - gone[1]))
    square_high, error = two_sum(joined[2], -gone[2])
    square_high, square_low = two_sum(square_high, error + (joined[3] - gone[3]))
    a, a_low = _two_product(n, square_high)
    b, b_low = _two_product(high, high)
    difference, error = two_sum(a, -b)
    moment = difference + (error + ((a_low + n * square_low) - (b_low + 2.0 * high * low)))
    error_of_squares = rows * total[2] * 2.0**-102
    error_of_sum = rows * math.sqrt(rows * total[2]) * 2.0**-103
    doubt = n * error_of_squares + 2.0 * abs(high) * error_of_sum + (abs(a) + b) * 2.0**-100
    return max(moment, 0.0) / (n * (n - 1.0)), moment >= doubt * 2.0**34


@kernel
def _spread_windows(
    layout: Layout, key: int, w: int, joined: Array, gone: Array, is_wild: bool, counts: Array, out: Array
) -> int:
    """Standard deviations of one key's windows of one length; returns FOUND_UNSURE or 0."""
    begin, entered, spine_row = layout.begin, layout.entered, layout.spine_row
    first = layout.event_start[key]
    size = layout.event_start[key + 1] - first
    late = layout.is_late[key]
    found = 0
    for s in range(layout.spine_start[key], layout.spine_start[key + 1]):
        n = counts[spine_row[s]]
        e, b = entered[s] - first, begin[w, s] - first
        if n < 2 or (not late and joined[e, 4] >= n):
            continue  # all cells are equal: the deviation is 0, as out is already
        variance, is_trusted = _spread(float(n), float(size), joined[size], joined[e], gone[b])
        if is_wild or not is_trusted:
            variance = math.nan
            found = FOUND_UNSURE
        out[spine_row[s]] = math.sqrt(variance)
    return found


@kernel
def spreads(
    c0: int, c1: int, layout: Layout, windows: Array, cells: Array, passing: Array, counts: Array, out: Array
) -> int:
    """Sample standard deviations of the passing float64 cells, into out float64[len(windows), m]; 0 below 2 cells."""
    longest = longest_run(layout, c0, c1)
    lines = np.empty((2, longest), np.int32)
    totals = np.empty((2, longest + 1, 5), np.float64)
    found = 0
    for key in range(c0, c1):
        if is_idle(layout, key):
            continue
        first, last = layout.event_start[key], layout.event_start[key + 1]
        late = layout.is_late[key]
        centre, is_wild, has_odd = _centre(first, last, cells, passing)
        found |= FOUND_ODD if has_odd else 0
        for k in range(windows.size):
            if late or k == 0:
                line_up(layout, key, layout.over[windows[k]], passing, lines[0], lines[1])
                _running_squares(lines[0], last - first, centre, cells, totals[0])
            if late:
                _running_squares(lines[1], last - first, centre, cells, totals[1])
            gone = totals[1 if late else 0]
            found |= _spread_windows(layout, key, windows[k], totals[0], gone, is_wild, counts[k], out[k])
    return found
