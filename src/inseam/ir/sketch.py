"""What approximate aggregates keep of a window: little, mergeable, and the same whatever the order of its rows.

    approx_distinct    the `MOST` least hashes of its values: exact up to so many, then with a standard error of 3.1 %
    approx_quantile    its values to `DIGITS` binary digits with how often each occurs: within 0.4 % of the exact value

Both are functions of the set or multiset of values alone: sketches whose answer depends on a random choice, or on the
order of updates and merges, could not give the same bits on every path.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from inseam.ir.aggregates import AggregateKind

if TYPE_CHECKING:
    import pyarrow as pa

MOST = 1024
"""How many hashes are kept: the standard error is 1 / sqrt(MOST - 2)."""
DIGITS = 8
"""Binary digits to which values are rounded: to nearest, so that the relative error is at most 2 ** -DIGITS."""
SKETCHED = (AggregateKind.APPROX_DISTINCT, AggregateKind.APPROX_QUANTILE)


def sketched(kind: AggregateKind, column: pa.Array) -> pa.Array:
    """The cells that a sketch takes: hashes (int64, from 0) or rounded values (float64); NULL for NULL and NaN."""
    return _hashed(column) if kind is AggregateKind.APPROX_DISTINCT else _rounded(column)


def estimates(count: np.ndarray, greatest: np.ndarray) -> np.ndarray:
    """How many different values there are, from how many hashes are kept and the greatest of them; all int64.

    >>> estimates(np.array([7, 1024]), np.array([1 << 60, 1 << 62])).tolist()  # the others fill half of the range
    [7, 2046]
    """
    share = np.maximum(greatest >> 10, 1) * 2.0**-53  # never 0 where it counts: MOST hashes differ
    return np.where(count < MOST, count, ((MOST - 1) / share + 0.5).astype(np.int64))


def _hashed(column: pa.Array) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        encoded = column.dictionary_encode()
        found = [blake2b(text.encode(), digest_size=8).digest() for text in encoded.dictionary.to_pylist()]
        whole = np.frombuffer(b"".join(found), "<u8") if found else np.empty(0, np.uint64)
        return pa.array((whole >> np.uint64(1)).astype(np.int64)).take(encoded.indices)
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
        # 0.0 and -0.0 are one value.
        bits = (np.asarray(pc.fill_null(column, 0.0).to_numpy(zero_copy_only=False)) + 0.0).view(np.uint64)
    else:
        whole = column.cast(pa.int32()) if pa.types.is_date32(column.type) else column
        bits = np.asarray(pc.fill_null(whole.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)).astype(np.uint64)
    return pa.array((_mixed(bits) >> np.uint64(1)).astype(np.int64), mask=_missing(column))


def _mixed(words: np.ndarray) -> np.ndarray:
    """SplitMix64 of each word."""
    with np.errstate(over="ignore"):
        z = words + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _rounded(column: pa.Array) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    floats = column.cast(pa.float64(), safe=False)
    values = np.asarray(pc.fill_null(floats, np.nan).to_numpy(zero_copy_only=False))
    share, exponent = np.frexp(np.abs(values))
    with np.errstate(over="ignore"):
        near = np.copysign(np.ldexp(np.floor(share * 2.0**DIGITS + 0.5), exponent - DIGITS), values)
    # What would round to infinity stays as it is.
    found = np.where(np.isfinite(near), near, values) + 0.0
    return pa.array(found, mask=np.isnan(found))


def _missing(column: pa.Array) -> np.ndarray:
    return np.asarray(column.is_null().to_numpy(zero_copy_only=False))
