"""Events from DuckDB into arrays: key codes, instants, and the columns that a view aggregates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inseam.adapters.duckdb.keys import CODE, Array, SpineKeys
from inseam.adapters.duckdb.session import Batches, quote
from inseam.adapters.duckdb.sweep import Column
from inseam.adapters.duckdb.view_plan import ViewPlan
from inseam.ir.relation import SEQUENCE
from inseam.ir.window_expression import EVENT, KNOWN, SUPERSEDED
from inseam.kernel.types import DataType, arrow_type

Decode = Callable[[pa.Array], pa.Array]
"""From the sweep's cells (an Arrow array with NULLs) back to the column's type."""
UNKNOWN = np.iinfo(np.int64).min
"""Stands for a NULL ingestion time."""


@dataclass(frozen=True, slots=True)
class Events:
    """A view's events, in the order of the table's files."""

    key: Array
    ts: Array
    known: Array | None
    sequence: Array | None
    columns: dict[str, pa.ChunkedArray]
    conditions: dict[str, Column]


def coded(plan: ViewPlan, source: str, keys: SpineKeys) -> str:
    """SELECT of `CODE` and what the view needs, over ``source`` (see `ViewPlan.events`) for keys in table ``keys``.

    With a lookup `CODE` is still the key itself, which `SpineKeys.encode` then reads faster than a join could.
    """
    own = [*plan.columns, EVENT] + [KNOWN] * plan.has_known + [SUPERSEDED] * plan.has_superseded
    own += [SEQUENCE] * plan.has_order + [*plan.conditions.values()]
    carried = ", ".join(f"e.{quote(name)}" for name in own)
    if keys.lookup is not None:
        return f"SELECT e.{quote(keys.names[0])} AS {CODE}, {carried} FROM ({source}) e"
    same = " AND ".join(f"e.{quote(name)} = k.{quote(name)}" for name in keys.names)
    return f"SELECT k.{CODE}, {carried} FROM ({source}) e JOIN keys k ON {same}"


def gather(plan: ViewPlan, found: Batches, keys: SpineKeys) -> Events:
    """Take in the events of the spine's keys from what `coded` selects."""
    schema, batches = found
    codes: list[Array] = []
    cells: dict[str, list[pa.Array]] = {name: [] for name in schema.names if name != CODE}
    for batch in batches:
        rows = batch
        code = keys.encode(batch.column(0)) if keys.lookup is not None else batch.column(0).to_numpy()
        kept = code >= 0
        # The sweep passes over rows of other keys faster than they are filtered, but they take memory.
        if np.count_nonzero(kept) < 0.5 * code.size:
            code, rows = code[kept], batch.filter(pa.array(kept))
        codes.append(code)
        for name, column in cells.items():
            column.append(rows.column(name))

    def take(name: str) -> pa.ChunkedArray:
        return pa.chunked_array(cells.pop(name), type=schema.field(name).type)

    key = np.concatenate(codes) if codes else np.empty(0, np.int64)
    codes.clear()
    return Events(
        key,
        numbers(take(EVENT)),
        numbers(take(KNOWN), UNKNOWN) if plan.has_known else None,
        numbers(take(SEQUENCE), UNKNOWN) if plan.has_order else None,
        {name: take(name) for name in plan.columns},
        {name: Column(numbers(take(name), null=False)) for name in plan.conditions.values()},
    )


def numbers(column: pa.ChunkedArray, null: Any = 0) -> Array:
    """A whole column as one NumPy array, NULL replaced."""
    filled = pc.fill_null(column, null) if column.null_count else column
    return np.asarray(filled.to_numpy())


def cells(column: pa.ChunkedArray, type_: DataType) -> tuple[Column, Decode]:
    """A column in the form that the sweep takes, and the way back from its cells to the column's type.

    Order and equality survive: strings become their rank. NaN is NULL, as everywhere behind the engine.
    """
    valid = np.asarray(column.is_valid().to_numpy()) if column.null_count else None
    if type_ is DataType.STRING:
        return _ranked(column, valid)
    if type_ is DataType.DATE:
        days = numbers(column.cast(pa.int32())).astype(np.int64)
        return Column(days, valid), lambda found: found.cast(pa.int32()).cast(pa.date32())
    if type_ is DataType.TIMESTAMP:
        return Column(numbers(column.cast(pa.int64())), valid), lambda found: found.cast(arrow_type(type_))
    values = numbers(column, null=False if type_ is DataType.BOOL else 0)
    if type_ is DataType.FLOAT64:
        odd = np.isnan(values)
        if odd.any():
            valid = ~odd if valid is None else valid & ~odd
    return Column(values, valid), lambda found: found


def _ranked(column: pa.ChunkedArray, valid: Array | None) -> tuple[Column, Decode]:
    """Strings as their rank among the different ones."""
    encoded = column.dictionary_encode().unify_dictionaries()
    dictionary = encoded.chunk(0).dictionary if encoded.num_chunks else pa.array([], pa.string())
    order = pc.array_sort_indices(dictionary).to_numpy()
    rank = np.zeros(max(order.size, 1), np.int64)
    rank[order] = np.arange(order.size)
    codes = [pc.fill_null(chunk.indices, 0).to_numpy() for chunk in encoded.chunks]
    ordered = dictionary.take(pa.array(order))
    values = rank[np.concatenate(codes)] if codes else np.empty(0, np.int64)
    return Column(values, valid), ordered.take
