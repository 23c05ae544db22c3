"""Numbers that count time since 1970-01-01 UTC, as instants."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as at

from inseam.kernel.types import DataType, arrow_type

_UTC = arrow_type(DataType.TIMESTAMP)
_WHOLE = r"^[+-]?[0-9]{1,18}$"
_BROKEN = r"^[+-]?[0-9]{1,18}\.[0-9]*$"
_MOST = (1 << 63) - 1


def instants(column: pa.Array, unit: int) -> pa.Array:
    """The cells that are numbers as ``timestamp[us, UTC]``, to the nearest microsecond; NULL for any other cell.

    ``unit``: the microseconds of one. Numbers of the year 300,000 or later have no instant.
    """
    if at.is_integer(column.type):
        return _of_whole(column, unit)
    if at.is_floating(column.type) or at.is_decimal(column.type):
        return _of_broken(column.cast(pa.float64()), unit)
    text = pc.utf8_trim_whitespace(column if at.is_string(column.type) else column.cast(pa.string()))
    whole = _of_whole(_matching(text, _WHOLE).cast(pa.int64()), unit)
    return pc.coalesce(whole, _of_broken(_matching(text, _BROKEN).cast(pa.float64()), unit))


def _matching(text: pa.Array, pattern: str) -> pa.Array:
    return pc.if_else(pc.match_substring_regex(text, pattern), text, pa.scalar(None, pa.string()))


def _of_whole(counts: pa.Array, unit: int) -> pa.Array:
    most = _MOST // unit
    held = pc.and_(pc.less_equal(counts, most), pc.greater_equal(counts, -most))
    counts = pc.if_else(held, counts, pa.scalar(None, counts.type)).cast(pa.int64())
    return pc.multiply(counts, unit).cast(_UTC)


def _of_broken(counts: pa.Array, unit: int) -> pa.Array:
    micros = np.rint(counts.to_numpy(zero_copy_only=False) * unit)
    held = np.abs(micros) < float(_MOST)
    return pa.array(np.where(held, micros, 0).astype(np.int64), pa.int64(), mask=~held).cast(_UTC)
