"""The general path: TIME.md's Ibis expression, run by DuckDB out of core."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from itertools import pairwise

import numpy as np
import pyarrow as pa
from duckdb.func import FunctionNullHandling, PythonUDFType

from inseam.adapters.duckdb.events import coded, numbers
from inseam.adapters.duckdb.fast import SUM_AS_FLOAT
from inseam.adapters.duckdb.keys import CODE, Array, SpineKeys
from inseam.adapters.duckdb.session import SQL_TYPES, Session, quote
from inseam.adapters.duckdb.sweep import Ask, sweep
from inseam.adapters.duckdb.transform import ibis_table
from inseam.adapters.duckdb.view_plan import ViewPlan
from inseam.ir.aggregates import AggregateKind, AggregateSpec
from inseam.ir.relation import SEQUENCE
from inseam.ir.sketch import SKETCHED, sketched
from inseam.ir.window_expression import BOUNDARY, EVENT, KNOWN, ORDER, PAIR, SUPERSEDED, window_values
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.errors import DataError
from inseam.kernel.types import DataType, Field, Schema, arrow_type

_CELL_BYTES = 32
"""What DuckDB holds for a row that waits in a group, at most."""


def query_view(
    session: Session, plan: ViewPlan, specs: Sequence[AggregateSpec], source: str, keys: SpineKeys, boundary: Array
) -> list[pa.Array]:
    """The values of ``specs`` at each spine row, each different (key, boundary) computed once.

    DuckDB cannot spill the rows that a quantile has gathered, so pairs go in slices that fit.
    """
    keys = replace(keys, lookup=None)
    session.register("keys", keys.table)
    pair_of, pairs = _pairs(keys.codes, boundary)
    sketches = _sketches(plan)
    aggregates = tuple(replace(spec, column=sketches.get((spec.kind, spec.column), spec.column)) for spec in specs)
    view = replace(plan.view, keys=(CODE,), aggregates=aggregates)
    sql = _expression(view, _fields(plan), tuple(plan.conditions.items()))
    pieces: list[pa.Table] = []
    with session.errors(plan.view.name):
        _sketch(session, plan)
        session.connection.execute(f"CREATE OR REPLACE TEMP TABLE events AS {_events(plan, source, keys)}")
        for part in _slices(session, plan, specs, pairs, keys.count):
            session.register("pairs", part)
            found = session.run(f"SELECT * FROM ({sql}) ORDER BY {PAIR}", plan.view.name)
            pieces.append(found.drop_columns([PAIR]))
        session.connection.execute("DROP TABLE events")
        for name in sketches.values():
            session.connection.remove_function(name)
    table = pa.concat_tables(pieces)
    try:
        return [_spread(table.column(spec.name), pair_of, spec) for spec in specs]
    except pa.ArrowInvalid as error:  # DuckDB sums whole numbers in 128 bits
        raise DataError(plan.view.name, f"a sum does not fit into 64 bits: {error}", mend=SUM_AS_FLOAT) from None


def _pairs(codes: Array, boundary: Array) -> tuple[Array, pa.Table]:
    """Each spine row's pair, and the different pairs by key and boundary."""
    order = np.lexsort((boundary, codes))
    code, at = codes[order], boundary[order]
    is_new = np.ones(order.size, np.bool_)
    is_new[1:] = (code[1:] != code[:-1]) | (at[1:] != at[:-1])
    pair_of = np.empty(order.size, np.int64)
    pair_of[order] = np.cumsum(is_new) - 1
    numbers = np.arange(np.count_nonzero(is_new))
    return pair_of, pa.table({PAIR: numbers, CODE: code[is_new], BOUNDARY: at[is_new]})


def _events(plan: ViewPlan, source: str, keys: SpineKeys) -> str:
    floats = [name for name in plan.columns if plan.source.schema.type_of(name) is DataType.FLOAT64]
    # NaN is NULL, as everywhere behind the engine.
    plain = "".join(f", CASE WHEN NOT isnan({quote(n)}) THEN {quote(n)} END AS {quote(n)}" for n in floats)
    sketches = "".join(f", {name}({quote(column or '')}) AS {name}" for (_, column), name in _sketches(plan).items())
    body = f"SELECT * {plain and f'REPLACE ({plain[2:]})'}{sketches} FROM ({coded(plan, source, keys)})"
    if not plan.has_order:
        return body
    ties = f"{EVENT}, {KNOWN + ' NULLS FIRST, ' if plan.has_known else ''}{SEQUENCE} NULLS FIRST"
    return f"SELECT *, row_number() OVER (ORDER BY {ties}) AS {ORDER} FROM ({body})"


def _fields(plan: ViewPlan) -> tuple[Field, ...]:
    """The columns of the events table."""
    found = [Field(CODE, DataType.INT64)]
    found += [Field(name, plan.source.schema.type_of(name) or DataType.STRING) for name in plan.columns]
    found += [Field(EVENT, DataType.INT64)]
    found += [Field(KNOWN, DataType.INT64)] * plan.has_known
    found += [Field(SUPERSEDED, DataType.INT64)] * plan.has_superseded
    found += [Field(ORDER, DataType.INT64)] * plan.has_order
    found += [Field(name, _sketch_type(kind)) for (kind, _), name in _sketches(plan).items()]
    return (*found, *(Field(name, DataType.BOOL) for name in plan.conditions.values()))


def _sketches(plan: ViewPlan) -> dict[tuple[AggregateKind, str | None], str]:
    """By kind and column the name of the column of its cells, and of the function that makes them."""
    taken = dict.fromkeys((spec.kind, spec.column) for spec in plan.core.aggregates if spec.kind in SKETCHED)
    return {one: f"_sketch_{number}" for number, one in enumerate(taken)}


def _sketch_type(kind: AggregateKind) -> DataType:
    return DataType.INT64 if kind is AggregateKind.APPROX_DISTINCT else DataType.FLOAT64


def _sketch(session: Session, plan: ViewPlan) -> None:
    """Make the functions of `_sketches` known to DuckDB."""
    for (kind, column), name in _sketches(plan).items():
        type_ = plan.source.schema.type_of(column or "") or DataType.STRING
        session.connection.create_function(
            name,
            partial(_sketched, kind),
            [SQL_TYPES[type_]],
            SQL_TYPES[_sketch_type(kind)],
            type=PythonUDFType.ARROW,
            null_handling=FunctionNullHandling.SPECIAL,
        )


def _sketched(kind: AggregateKind, column: pa.ChunkedArray) -> pa.Array:
    return sketched(kind, column.combine_chunks())


@lru_cache(maxsize=64)
def _expression(view: WindowedAggregate, fields: tuple[Field, ...], conditions: tuple[tuple[str, str], ...]) -> str:
    """SQL of a view over the tables ``pairs`` and ``events``; kept, since every partition asks for the same."""
    import ibis

    pairs = Schema.of(((PAIR, DataType.INT64), (CODE, DataType.INT64), (BOUNDARY, DataType.INT64)))

    @ibis.udf.agg.builtin  # type: ignore[untyped-decorator]
    def fsum(x: float) -> float:  # type: ignore[empty-body]  # DuckDB's own: Kahan's sum
        ...

    table = window_values(
        ibis_table(pairs, "pairs"),
        ibis_table(Schema(fields), "events"),
        view,
        dict(conditions),
        lambda column, inside: fsum(column, where=inside),
    )
    return str(ibis.to_sql(table, dialect="duckdb"))


def _slices(
    session: Session, plan: ViewPlan, specs: Sequence[AggregateSpec], pairs: pa.Table, count: int
) -> Iterator[pa.Table]:
    """Pairs in runs whose windows hold together no more rows than memory has room for."""
    events = session.run(f"SELECT {CODE}, {EVENT} FROM events", plan.view.name)
    overs = [plan.over(spec) for spec in specs]
    widest = None if None in overs else max(over for over in overs if over is not None)
    ((sizes, _),) = sweep(
        numbers(events[CODE]),
        numbers(events[EVENT]),
        None,
        None,
        {},
        numbers(pairs[CODE]),
        numbers(pairs[BOUNDARY]),
        0,
        0,
        [Ask("count", over_us=widest)],
        count,
    )
    room = max(session.memory // _CELL_BYTES, 1)
    run = np.cumsum(sizes) // room
    cuts = [0, *(np.flatnonzero(np.diff(run)) + 1).tolist(), pairs.num_rows]
    for start, stop in pairwise(cuts):
        yield pairs.slice(start, stop - start)


def _spread(column: pa.ChunkedArray, pair_of: Array, spec: AggregateSpec) -> pa.Array:
    values = column.combine_chunks().cast(arrow_type(spec.type)).take(pa.array(pair_of))
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
