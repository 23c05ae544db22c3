"""Compiled float sums and standard deviations over windows, from prefix sums in double-double arithmetic.

A double-double is an unevaluated pair (high, low) of about 106 bits, so the difference of two prefixes does not show
where the prefix began. Where that can't be promised (cells of very different size, squares that overflow), the window
is summed anew by `sweep_exact`. Conventions as in `sweep_kernels`; `counts` holds each window's passing rows.
"""

import math

import numpy as np

from inseam.adapters.duckdb.sweep_exact import exact_deviation, exact_sum, two_product, two_sum
from inseam.adapters.duckdb.sweep_kernels import longest_run
from inseam.adapters.duckdb.sweep_layout import Array, Layout, is_counted, kernel

HUGE = 1e300  # sums of greater size may overflow on the way
TINY_SQUARE, HUGE_SQUARE = 1e-120, 1e145  # cells whose squares keep all their bits, times any number of rows


@kernel
def _odd_prefix(
    layout: Layout, key: int, over: int, by_entry: bool, cells: Array, passing: Array, out: Array
) -> None:
    """Running count of rows that force the sum up (inf or NaN: low 32 bits) and down (-inf or NaN: high 32 bits)."""
    first = layout.event_start[key]
    total = 0
    out[0] = 0
    for i in range(layout.event_start[key + 1] - first):
        p = layout.entry_order[first + i] if by_entry else first + i
        if not math.isfinite(cells[p]) and is_counted(layout, key, p, over, passing):
            total += (0 if cells[p] < 0 else 1) + (0 if cells[p] > 0 else 1 << 32)
        out[i + 1] = total


@kernel
def _mark_odd(
    layout: Layout, key: int, k: int, w: int, joined: Array, gone: Array, is_spread: bool, out: Array
) -> None:
    """Overwrite the results of windows that hold a NaN or an infinity: all finite cells are beside the point there."""
    first = layout.event_start[key]
    for s in range(layout.spine_start[key], layout.spine_start[key + 1]):
        odd = joined[layout.entered[s] - first] - gone[layout.begin[w, s] - first]
        ups, downs = odd & 0xFFFFFFFF, odd >> 32
        if ups or downs:
            only = math.inf if ups else -math.inf
            out[k, layout.spine_row[s]] = math.nan if is_spread or (ups and downs) else only


@kernel
def _mark_odd_windows(
    layout: Layout, key: int, windows: Array, cells: Array, passing: Array, is_spread: bool, out: Array
) -> None:
    """Find and overwrite the windows of one key that hold a NaN or an infinity."""
    size = layout.event_start[key + 1] - layout.event_start[key]
    joined = np.empty(size + 1, np.int64)
    gone = joined
    late = layout.is_late[key]
    if late:
        gone = np.empty(size + 1, np.int64)
    else:
        _odd_prefix(layout, key, -1, False, cells, passing, joined)
    for k in range(windows.size):
        if late:
            _odd_prefix(layout, key, layout.over[windows[k]], True, cells, passing, joined)
            _odd_prefix(layout, key, layout.over[windows[k]], False, cells, passing, gone)
        _mark_odd(layout, key, k, windows[k], joined, gone, is_spread, out)


@kernel
def _sum_prefix(
    layout: Layout, key: int, over: int, by_entry: bool, cells: Array, passing: Array, out: Array
) -> None:
    """Double-double running sum of the finite cells, into out float64[rows + 1, 2]."""
    first = layout.event_start[key]
    high = 0.0
    low = 0.0
    out[0, 0] = 0.0
    out[0, 1] = 0.0
    for i in range(layout.event_start[key + 1] - first):
        p = layout.entry_order[first + i] if by_entry else first + i
        if is_counted(layout, key, p, over, passing) and math.isfinite(cells[p]):
            high, error = two_sum(high, cells[p])
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
    if size > HUGE:
        return math.inf, has_odd
    # Every cell is a multiple of least * 2**-53. If the whole is below 2**103 of those, each prefix is exact.
    if size <= least * 2.0**50:
        return 0.0, has_odd
    return (last - first) * size * 2.0**-68, has_odd  # the error is under 2**-36 of what exceeds this


@kernel
def _sum_windows(
    layout: Layout, key: int, k: int, w: int, joined: Array, gone: Array, doubt: float,
    cells: Array, passing: Array, counts: Array, out: Array,
) -> None:  # fmt: skip
    """Sums of one key's windows of one length."""
    first = layout.event_start[key]
    for s in range(layout.spine_start[key], layout.spine_start[key + 1]):
        row = layout.spine_row[s]
        if counts[k, row] == 0:
            continue
        e, b = layout.entered[s] - first, layout.begin[w, s] - first
        high, error = two_sum(joined[e, 0], -gone[b, 0])
        total = high + (error + (joined[e, 1] - gone[b, 1]))
        if not abs(total) >= doubt:
            total = exact_sum(layout, key, w, s, cells, passing)
        out[k, row] = total


@kernel
def sums(
    c0: int, c1: int, layout: Layout, windows: Array, cells: Array, passing: Array, counts: Array, out: Array
) -> None:
    """Sums of the passing float64 cells, into out float64[len(windows), m]."""
    longest = longest_run(layout, c0, c1)
    joined = np.empty((longest + 1, 2), np.float64)
    left = np.empty((longest + 1, 2), np.float64)
    for key in range(c0, c1):
        first, last = layout.event_start[key], layout.event_start[key + 1]
        if first == last or layout.spine_start[key] == layout.spine_start[key + 1]:
            continue
        late = layout.is_late[key]
        gone = left if late else joined
        doubt, has_odd = _doubt(first, last, cells, passing)
        if not late:
            _sum_prefix(layout, key, -1, False, cells, passing, joined)
        for k in range(windows.size):
            if late:
                _sum_prefix(layout, key, layout.over[windows[k]], True, cells, passing, joined)
                _sum_prefix(layout, key, layout.over[windows[k]], False, cells, passing, left)
            _sum_windows(layout, key, k, windows[k], joined, gone, doubt, cells, passing, counts, out)
        if has_odd:
            _mark_odd_windows(layout, key, windows, cells, passing, False, out)


@kernel
def _centre(first: int, last: int, cells: Array, passing: Array) -> tuple[float, bool, bool]:
    """(what to subtract from each cell so that squares stay small, whether squares may over- or underflow, any odd)."""
    total = 0.0
    count = 0
    has_odd = False
    for p in range(first, last):
        if passing.size == 0 or passing[p]:
            if math.isfinite(cells[p]):
                total += cells[p] / (last - first)
                count += 1
            else:
                has_odd = True
    centre = total * (last - first) / max(count, 1)
    greatest = 0.0
    for p in range(first, last):
        if (passing.size == 0 or passing[p]) and math.isfinite(cells[p]):
            difference, error = two_sum(cells[p], -centre)
            if error != 0.0:
                centre = 0.0  # a rounded shift would move cells apart: better none
                break
            greatest = max(greatest, abs(difference))
    if centre == 0.0:
        for p in range(first, last):
            if (passing.size == 0 or passing[p]) and math.isfinite(cells[p]):
                greatest = max(greatest, abs(cells[p]))
    return centre, greatest > HUGE_SQUARE or 0.0 < greatest < TINY_SQUARE, has_odd


@kernel
def _square_prefix(
    layout: Layout, key: int, over: int, by_entry: bool, centre: float, cells: Array, passing: Array, out: Array
) -> None:
    """Double-double running sums of d = cell - centre and of d * d, and length of the run of equal cells so far."""
    first = layout.event_start[key]
    high = low = square_high = square_low = equal = previous = 0.0
    out[0, :] = 0.0
    for i in range(layout.event_start[key + 1] - first):
        p = layout.entry_order[first + i] if by_entry else first + i
        if is_counted(layout, key, p, over, passing) and math.isfinite(cells[p]):
            d = cells[p] - centre
            high, error = two_sum(high, d)
            high, low = two_sum(high, low + error)
            square, rest = two_product(d, d)
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
    a, a_low = two_product(n, square_high)
    b, b_low = two_product(high, high)
    difference, error = two_sum(a, -b)
    moment = difference + (error + ((a_low + n * square_low) - (b_low + 2.0 * high * low)))
    error_of_squares = rows * total[2] * 2.0**-102
    error_of_sum = rows * math.sqrt(rows * total[2]) * 2.0**-103
    doubt = n * error_of_squares + 2.0 * abs(high) * error_of_sum + (abs(a) + b) * 2.0**-100
    return max(moment, 0.0) / (n * (n - 1.0)), moment >= doubt * 2.0**34


@kernel
def _spread_windows(
    layout: Layout, key: int, k: int, w: int, joined: Array, gone: Array, is_wild: bool,
    cells: Array, passing: Array, counts: Array, out: Array,
) -> None:  # fmt: skip
    """Standard deviations of one key's windows of one length."""
    first = layout.event_start[key]
    rows = layout.event_start[key + 1] - first
    for s in range(layout.spine_start[key], layout.spine_start[key + 1]):
        row = layout.spine_row[s]
        n = counts[k, row]
        e, b = layout.entered[s] - first, layout.begin[w, s] - first
        if n < 2 or (not layout.is_late[key] and joined[e, 4] >= n):
            continue  # all cells are equal: the deviation is 0, as out is already
        variance, is_trusted = _spread(float(n), float(rows), joined[rows], joined[e], gone[b])
        if is_trusted and not is_wild:
            out[k, row] = math.sqrt(variance)
        else:
            out[k, row] = exact_deviation(layout, key, w, s, n, cells, passing)


@kernel
def spreads(
    c0: int, c1: int, layout: Layout, windows: Array, cells: Array, passing: Array, counts: Array, out: Array
) -> None:
    """Sample standard deviations of the passing float64 cells, into out float64[len(windows), m]; 0 below 2 cells."""
    longest = longest_run(layout, c0, c1)
    joined = np.empty((longest + 1, 5), np.float64)
    left = np.empty((longest + 1, 5), np.float64)
    for key in range(c0, c1):
        first, last = layout.event_start[key], layout.event_start[key + 1]
        if first == last or layout.spine_start[key] == layout.spine_start[key + 1]:
            continue
        late = layout.is_late[key]
        gone = left if late else joined
        centre, is_wild, has_odd = _centre(first, last, cells, passing)
        if not late:
            _square_prefix(layout, key, -1, False, centre, cells, passing, joined)
        for k in range(windows.size):
            if late:
                _square_prefix(layout, key, layout.over[windows[k]], True, centre, cells, passing, joined)
                _square_prefix(layout, key, layout.over[windows[k]], False, centre, cells, passing, left)
            _spread_windows(layout, key, k, windows[k], joined, gone, is_wild, cells, passing, counts, out)
        if has_odd:
            _mark_odd_windows(layout, key, windows, cells, passing, True, out)
