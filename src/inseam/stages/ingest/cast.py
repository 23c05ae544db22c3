"""Columns as they were read to columns of a declared type, with a reason for each cell that has no value of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as at

from inseam.kernel.types import DataType, arrow_type, data_type
from inseam.stages.ingest.values import as_text

Faults = dict[int, str]
"""By row: why its cell has no value of the type."""
NULL_WORDS = frozenset(("", "na", "n/a", "nan", "null", "none", "\\n"))
"""Lower-case texts that stand for NULL in a column of any type but string."""
_TRUE = frozenset(("true", "t", "yes", "y", "1", "1.0"))
_FALSE = frozenset(("false", "f", "no", "n", "0", "0.0"))
_INTEGER = r"^-?[0-9]{1,18}$"
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_SWAPPED = bytes.maketrans(b".,", b",.")
_BIGGEST = 1 << 63


def plain(column: pa.Array) -> pa.Array:
    """Without dictionary, view or large offsets; what we have no type for, as of JSON lines and queries, as texts."""
    if at.is_dictionary(column.type):
        column = column.dictionary_decode()
    if at.is_large_string(column.type) or at.is_string_view(column.type) or at.is_null(column.type):
        return column.cast(pa.string())
    if has_no_type(column.type):
        return pa.array([as_text(value) for value in column.to_pylist(maps_as_pydicts="lossy")], pa.string())
    return column


def has_no_type(arrow: pa.DataType) -> bool:
    """Whether columns of an Arrow type are read as texts: JSON of nested values, the digits of bytes."""
    try:
        data_type(arrow)
    except ValueError:
        return True
    return False


def pointed(column: pa.Array, decimal: str) -> pa.Array:
    """Texts of numbers with a decimal point, and commas between thousands, where ``decimal`` says otherwise."""
    _, offsets, data = column.buffers()
    if decimal == "." or data is None:
        return column
    swapped = pa.py_buffer(data.to_pybytes().translate(_SWAPPED))
    buffers = [column.buffers()[0], offsets, swapped]
    return pa.Array.from_buffers(column.type, len(column), buffers, offset=column.offset)


def numbers(column: pa.Array, type_: DataType, decimal: str = ".") -> tuple[pa.Array, Faults]:
    """A plain column as ``type_``: bool, int64 or float64. NaN becomes NULL; infinity is no value."""
    if at.is_string(column.type):
        column = pointed(column, decimal)
        values, faults = _from_text(column, type_)
    elif type_ is DataType.FLOAT64 and not at.is_temporal(column.type):
        values, faults = column.cast(pa.float64(), safe=False), {}
    elif column.type == arrow_type(type_):
        return column, {}
    elif type_ is DataType.INT64 and at.is_integer(column.type) and column.type != pa.uint64():
        return column.cast(pa.int64()), {}
    else:
        values, faults = _from_text(column.cast(pa.string()), type_)
    return _finite(values, faults) if type_ is DataType.FLOAT64 else (values, faults)


def by_distinct(column: pa.Array, target: pa.DataType, parse: Callable[[str], Any]) -> tuple[pa.Array, Faults]:
    """Each distinct text once through ``parse``: a value, None, or a ValueError with the reason."""
    encoded = column.dictionary_encode()
    values: list[Any] = []
    reasons: dict[int, str] = {}
    for code, text in enumerate(encoded.dictionary.to_pylist()):
        try:
            values.append(parse(text))
        except ValueError as error:
            values.append(None)
            reasons[code] = str(error)
    found = pa.array(values, target).take(encoded.indices)
    if not reasons:
        return found, {}
    codes = pc.fill_null(encoded.indices, -1).to_numpy()
    rows = np.flatnonzero(np.isin(codes, list(reasons)))
    return found, {int(row): reasons[int(codes[row])] for row in rows}


def scatter(
    column: pa.Array, residue: pa.Array, values: pa.Array, parse: Callable[[str], Any]
) -> tuple[pa.Array, Faults]:
    """``values`` with the rows of ``residue`` (bool, no NULLs) read by `by_distinct` from ``column``."""
    found, faults = by_distinct(column.filter(residue), values.type, parse)
    rows = np.flatnonzero(residue.to_numpy(zero_copy_only=False))
    return pc.replace_with_mask(values, residue, found), {int(rows[row]): why for row, why in faults.items()}


def _from_text(column: pa.Array, type_: DataType) -> tuple[pa.Array, Faults]:
    if type_ is DataType.BOOL:
        return by_distinct(column, pa.bool_(), _bool)
    target = arrow_type(type_)
    try:
        # Arrow reads 0x10 as an integer; people don't write their amounts so.
        if type_ is DataType.FLOAT64 or not _may_be_hexadecimal(column):
            return pc.cast(column, target), {}
    except pa.ArrowInvalid:
        pass
    pattern, parse = (_INTEGER, _int) if type_ is DataType.INT64 else (_NUMBER, _float)
    is_plain = pc.fill_null(pc.match_substring_regex(column, pattern), False)
    residue = pc.and_(pc.is_valid(column), pc.invert(is_plain))
    values = pc.cast(pc.if_else(is_plain, column, pa.scalar(None, pa.string())), target)
    return scatter(column, residue, values, parse)


def _may_be_hexadecimal(column: pa.Array) -> bool:
    data = column.buffers()[2]
    text = b"" if data is None else data.to_pybytes()
    return b"x" in text or b"X" in text


def _finite(values: pa.Array, faults: Faults) -> tuple[pa.Array, Faults]:
    array = values.to_numpy(zero_copy_only=False)
    if np.isfinite(array.sum()):
        return values, faults
    infinite = np.isinf(array)
    whole = faults | {int(row): "is infinite, not float64" for row in np.flatnonzero(infinite)}
    return pa.array(array, pa.float64(), mask=~np.isfinite(array)), whole


def _bool(text: str) -> bool | None:
    word = text.strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    if word in NULL_WORDS:
        return None
    raise ValueError("is not bool")


def _int(text: str) -> int | None:
    """An integer: also with thousands separators, a plus sign, or a fraction of zeros as in ``17850.0``."""
    if text.strip().lower() in NULL_WORDS:
        return None
    whole, _, fraction = text.strip().partition(".")
    digits = _ungrouped(whole)
    if digits is None or fraction.strip("0") or not digits.lstrip("+-").isdecimal() or not digits.isascii():
        raise ValueError("is not int64")
    value = int(digits)
    if not -_BIGGEST <= value < _BIGGEST:
        raise ValueError("is outside of int64")
    return value


def _float(text: str) -> float | None:
    word = text.strip()
    if word.lower() in NULL_WORDS:
        return None
    whole, point, fraction = word.partition(".")
    digits = _ungrouped(whole)
    # float() also reads underscores and other scripts' digits, which a file hardly means.
    if digits is None or "_" in word or not word.isascii():
        raise ValueError("is not float64")
    try:
        value = float(digits + point + fraction)
    except ValueError:
        raise ValueError("is not float64") from None
    return None if math.isnan(value) else value


def _ungrouped(whole: str) -> str | None:
    """``1,234,567`` without its commas; None where they don't part thousands."""
    if "," not in whole:
        return whole
    first, *groups = whole.split(",")
    is_grouped = 1 <= len(first.lstrip("+-")) <= 3 and all(len(group) == 3 and group.isdecimal() for group in groups)
    return "".join((first, *groups)) if is_grouped else None
