"""Rows of Python values (JSON records, database rows), a block at a time, to Arrow columns."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa

_encode = msgspec.json.Encoder(enc_hook=str).encode
_KINDS: dict[type, pa.DataType] = {
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    Decimal: pa.float64(),
    date: pa.date32(),
}


def column_of(values: Sequence[Any]) -> pa.Array:
    """Values of one kind in its Arrow type; of several kinds, or of one without a type of ours, as strings."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {Decimal} and all(value is None or _is_whole(value) for value in values):
        values, kinds = [None if value is None else int(value) for value in values], {int}
    if kinds == {int, float} or kinds == {Decimal, float} or kinds == {int, Decimal}:
        kinds = {float}
    if len(kinds) == 1:
        kind = next(iter(kinds))
        if kind is str:
            return pa.array(values, pa.string())
        if kind is datetime:
            return _instants(values)
        if kind in _KINDS:
            try:
                plain = [None if value is None else float(value) for value in values] if kind is Decimal else values
                return pa.array(plain, _KINDS[kind])
            except (OverflowError, pa.ArrowInvalid):
                pass
    return pa.array([as_text(value) for value in values], pa.string())


def _is_whole(value: Decimal) -> bool:
    """Whether a decimal is written without a fraction: an integer that may have more digits than a float."""
    return value.is_finite() and int(value.as_tuple().exponent) >= 0


def as_text(value: Any) -> str | None:
    """A value as one writes it in a file."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def as_values(column: pa.Array) -> list[Any]:
    """A few cells as Python values; instants that Python has none for (nanoseconds, far years) as texts."""
    try:
        return list(column.to_pylist())
    except (OverflowError, ValueError):
        return list(column.cast(pa.string()).to_pylist())


def as_json(row: dict[str, Any]) -> str:
    """A row as a JSON object, for quarantine. What JSON has no number for is written as a text."""
    for name, value in row.items():
        if isinstance(value, float) and not math.isfinite(value):
            row = row | {name: str(value)}
    return _encode(row).decode()


def _instants(values: Sequence[Any]) -> pa.Array:
    """Naive ones stay naive: their zone is the source's. Of both kinds: texts, which say which is which."""
    zones = {value.tzinfo is not None for value in values if value is not None}
    if len(zones) == 2:
        return pa.array([as_text(value) for value in values], pa.string())
    return pa.array(values, pa.timestamp("us", tz="UTC" if zones == {True} else None))
