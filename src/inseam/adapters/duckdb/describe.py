"""Statistics of a stream, a column at a time: the baseline against which drift is later measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from inseam.adapters.duckdb.rows import plain_stream
from inseam.adapters.duckdb.session import Limits, Session, quote
from inseam.kernel.clock import format_instant
from inseam.kernel.types import DataType, Schema

QUANTILES = tuple(place / 20 for place in range(21))
TOP = 50


def describe(limits: Limits, rows: pa.RecordBatchReader) -> Mapping[str, Mapping[str, Any]]:
    """``count`` and ``nulls`` of each column, then what its type allows; see `inseam.ports.engine.Engine`.

    NaN counts as NULL; infinite numbers count, and take no part in the rest. Instants give ``min`` and ``max`` as
    text. One thread, so that equal rows in equal order give equal bits.
    """
    with Session(replace(limits, threads=1)) as session:
        plain = plain_stream(rows)
        schema = Schema.from_arrow(plain.schema)
        session.register("input_rows", plain)
        with session.errors("describe"):
            session.connection.execute("CREATE TEMP TABLE held AS SELECT * FROM input_rows")
        return {field.name: _column(session, field.name, field.type) for field in schema}


def _column(session: Session, name: str, type_: DataType) -> dict[str, Any]:
    cell = quote(name)
    if type_ is DataType.FLOAT64:
        cell = f"CASE WHEN NOT isnan({cell}) THEN {cell} END"
    (counted,) = session.run(f"SELECT count(*) AS n, count({cell}) AS held FROM held", name).to_pylist()
    found: dict[str, Any] = {"count": counted["n"], "nulls": counted["n"] - counted["held"]}
    if type_ in (DataType.INT64, DataType.FLOAT64):
        return found | _number(session, name)
    if type_ is DataType.TIMESTAMP:
        sql = f"SELECT min(epoch_us({cell})) AS min, max(epoch_us({cell})) AS max FROM held"
        (ends,) = session.run(sql, name).to_pylist()
        return found | {end: None if at is None else format_instant(at) for end, at in ends.items()}
    return found | _category(session, name)


def _number(session: Session, name: str) -> dict[str, Any]:
    x = f"CAST({quote(name)} AS DOUBLE)"
    finite = f"SELECT {quote(name)} AS c, {x} AS x FROM held WHERE isfinite({x})"
    (found,) = session.run(
        f"SELECT avg(x) AS mean, stddev_samp(x) AS std, min(c) AS min, max(c) AS max, count(*) AS n FROM ({finite})",
        name,
    ).to_pylist()
    count = found.pop("n")
    return dict(found) | {"quantiles": _quantiles(session, finite, count, name) if count else None}


def _quantiles(session: Session, cells: str, count: int, name: str) -> list[float]:
    """Interpolated linearly, read off the sorted cells as they come: a sort spills to disk, a quantile would not."""
    places = np.array(QUANTILES) * (count - 1)
    low = np.floor(places).astype(np.int64)
    high = np.minimum(low + 1, count - 1)
    wanted = np.unique(np.concatenate([low, high]))
    picked = np.empty(len(wanted))
    start = 0
    _, batches = session.batches(f"SELECT x FROM ({cells}) ORDER BY x", name)
    for batch in batches:
        here = np.flatnonzero((wanted >= start) & (wanted < start + batch.num_rows))
        picked[here] = batch.column(0).to_numpy()[wanted[here] - start]
        start += batch.num_rows
    below, above = picked[np.searchsorted(wanted, low)], picked[np.searchsorted(wanted, high)]
    values: list[float] = (below + (above - below) * (places - low)).tolist()
    return values


def _category(session: Session, name: str) -> dict[str, Any]:
    cell = quote(name)
    (found,) = session.run(f"SELECT count(DISTINCT {cell}) AS n FROM held", name).to_pylist()
    top = session.run(
        f"SELECT {cell} AS value, count(*) AS n FROM held WHERE {cell} IS NOT NULL"
        f" GROUP BY {cell} ORDER BY n DESC, value LIMIT {TOP}",
        name,
    ).to_pylist()
    return {"distinct": found["n"], "top": [[_plain(row["value"]), row["n"]] for row in top]}


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | str) else value.isoformat()
