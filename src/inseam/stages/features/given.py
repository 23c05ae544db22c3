"""What an example gives and expects, as Arrow: plain Python values in the types of their columns."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import pyarrow as pa

from inseam.ir.relation import INGESTED_AT, SEQUENCE
from inseam.kernel.clock import format_instant, from_datetime, parse_instant
from inseam.kernel.errors import DataError
from inseam.kernel.names import did_you_mean
from inseam.kernel.types import DataType, Field, Schema, arrow_type

_STORED = (Field(INGESTED_AT, DataType.TIMESTAMP), Field(SEQUENCE, DataType.INT64))
_FIRST_LOAD = 1 << 40


def given_table(rows: Sequence[Mapping[str, Any]], schema: Schema, subject: str) -> pa.Table:
    """Rows as a source's table holds them, in the order in which they are given; what a row leaves out is NULL.

    `DataError` names the row and the column of a value that does not fit, or that the source does not have.
    """
    known = (*schema.names, INGESTED_AT)
    for number, row in enumerate(rows):
        for name in row:
            if name not in known:
                found = f"row {number} has a column {name!r}"
                raise DataError(subject, found, expected="the source's columns", mend=did_you_mean(str(name), known))
    full = Schema((*schema.fields, *_STORED))
    numbered = [{**row, SEQUENCE: _FIRST_LOAD | number} for number, row in enumerate(rows)]
    return typed_table(numbered, full, subject)


def typed_table(rows: Sequence[Mapping[str, Any]], schema: Schema, subject: str) -> pa.Table:
    """The named columns of these rows in their types."""
    columns = [
        pa.array([typed(row.get(field.name), field, f"row {number}", subject) for number, row in enumerate(rows)])
        .cast(pa.int64() if field.type is DataType.TIMESTAMP else arrow_type(field.type))
        .cast(arrow_type(field.type))
        for field in schema
    ]
    return pa.table(columns, schema=schema.to_arrow())


def typed(value: Any, field: Field, where: str, subject: str) -> Any:
    """A value as its type has it: instants as UTC microseconds, NaN as None. `DataError` for one of another type."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    try:
        found = _typed(value, field.type)
    except (ValueError, TypeError):
        found = None
    if found is None:
        raise DataError(
            subject, f"{where}: {field.name!r} is {value!r}", expected=f"a {field.type.value}, or None for NULL"
        )
    return found


def _typed(value: Any, type_: DataType) -> Any:
    match type_:
        case DataType.TIMESTAMP:
            return from_datetime(value) if isinstance(value, datetime) else parse_instant(value)
        case DataType.DATE:
            return date.fromisoformat(value) if isinstance(value, str) else value if type(value) is date else None
        case DataType.FLOAT64:
            return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
        case DataType.INT64:
            is_whole = isinstance(value, int | float) and not isinstance(value, bool) and value == int(value)
            return int(value) if is_whole else None
        case DataType.BOOL:
            return value if isinstance(value, bool) else None
        case DataType.STRING:
            return value if isinstance(value, str) else None


def plain(value: Any) -> Any:
    """A cell that an engine gave, in the form of `typed`."""
    if isinstance(value, datetime):
        return from_datetime(value)
    return None if isinstance(value, float) and math.isnan(value) else value


def is_same(found: Any, expected: Any) -> bool:
    """Whether two cells in the form of `typed` are equal: floats to a relative 1e-9, NULL to nothing but NULL."""
    if found is None or expected is None:
        return found is expected
    if isinstance(expected, float):
        return math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-12)
    return bool(found == expected)


def shown(value: Any, type_: DataType) -> Any:
    """A cell in the form of `typed` as people and JSON read it."""
    if isinstance(value, date):
        return value.isoformat()
    return format_instant(value) if type_ is DataType.TIMESTAMP and value is not None else value


def inferred(rows: Iterable[Mapping[str, Any]], timestamp: str) -> Schema:
    """The columns that rows show of a source of which nothing else is known; its instants may be text."""
    seen: dict[str, set[type]] = {timestamp: {datetime}}
    for row in rows:
        for name, value in row.items():
            if name not in (timestamp, INGESTED_AT):
                seen.setdefault(name, set()).update(() if value is None else (type(value),))
    return Schema.of((name, _inferred_type(types)) for name, types in seen.items())


def _inferred_type(types: set[type]) -> DataType:
    """Of the values that were seen; numbers where all were NULL."""
    for found, type_ in (
        (str, DataType.STRING),
        (datetime, DataType.TIMESTAMP),
        (date, DataType.DATE),
        (float, DataType.FLOAT64),
        (int, DataType.INT64),
        (bool, DataType.BOOL),
    ):
        if found in types:
            return type_
    return DataType.FLOAT64
