"""Rows straight from the files of a table: which tables they can be had of, and which of their rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inseam.adapters.delta.tables import DeltaTables
from inseam.adapters.duckdb import plain
from inseam.adapters.duckdb.engine import DuckdbEngine
from inseam.ir.aggregates import AggregateKind, AggregateSpec
from inseam.ir.relation import Relation
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.clock import Step
from inseam.kernel.errors import InseamError
from inseam.kernel.types import DataType, Schema

START = datetime(2024, 1, 1, tzinfo=UTC)
STAMP = pa.timestamp("us", tz="UTC")
SCHEMA = Schema.of([("customer", "int64"), ("at", "timestamp"), ("amount", "float64")])
STORED = pa.schema([*SCHEMA.to_arrow(), ("_ingested_at", STAMP), ("_seq", pa.int64())])
KEYS = 2_000
"""So many keys are looked up."""


def stored(tables: DeltaTables, days: range) -> None:
    """One row of each key on each day, with the day's number as its amount; one of them at no known time."""
    for day in days:
        at = [START + timedelta(days=day)] * KEYS
        at[0] = at[0] if day else None
        columns = [range(KEYS), at, [float(day)] * KEYS, [None] * KEYS, range(day * KEYS, (day + 1) * KEYS)]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, STORED, strict=True)]
        tables.append("sources/orders", pa.table(arrays, schema=STORED).to_reader())


def view(over: timedelta) -> WindowedAggregate:
    relation = Relation("sources/orders", "at", SCHEMA)
    over_us = over // timedelta(microseconds=1)
    kinds = ((AggregateKind.COUNT, DataType.INT64), (AggregateKind.SUM, DataType.FLOAT64))
    specs = tuple(AggregateSpec(str(kind), kind, type_, "amount", over_us) for kind, type_ in kinds)
    return WindowedAggregate("orders", relation, ("customer",), Step(0), 0, specs)


def spine(day: int) -> pa.Table:
    at = pa.array([START + timedelta(days=day)] * KEYS, STAMP)
    return pa.table({"customer": pa.array(range(KEYS), pa.int64()), "event_time": at})


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows came from the files, by call; -1 where DuckDB was to read them."""
    counts: list[int] = []
    whole = plain.plain_rows

    def counted(*arguments):
        found = whole(*arguments)
        counts.append(-1)
        if found is None:
            return None
        schema, batches = found
        held = list(batches)
        counts[-1] = sum(batch.num_rows for batch in held)
        return schema, iter(held)

    monkeypatch.setattr("inseam.adapters.duckdb.build.plain_rows", counted)
    return counts


def values(engine: DuckdbEngine, days: int) -> pa.Table:
    found = engine.features(spine(days).to_reader(), [view(timedelta(days=2))])
    return getattr(found, "reader", lambda: found)().read_all()


def test_files_outside_of_the_windows_are_left_out(tmp_path: Path, read: list[int]) -> None:
    tables = DeltaTables(tmp_path / "tables")
    stored(tables, range(6))
    found = values(DuckdbEngine(tables, directory=tmp_path / "spill"), 5)
    assert read == [2 * KEYS]
    assert np.array_equal(found["sum"], np.full(KEYS, 3.0 + 4.0))


def test_rows_without_an_instant_count_nowhere(tmp_path: Path, read: list[int]) -> None:
    tables = DeltaTables(tmp_path / "tables")
    stored(tables, range(1))
    found = values(DuckdbEngine(tables, directory=tmp_path / "spill"), 1)
    assert read == [KEYS - 1]
    assert found["count"].to_pylist() == [0] + [1] * (KEYS - 1)


def test_files_of_other_types_are_for_duckdb(tmp_path: Path, read: list[int]) -> None:
    tables = DeltaTables(tmp_path / "tables")
    stored(tables, range(2))
    for path in (tmp_path / "tables" / "sources" / "orders").glob("*.parquet"):
        narrow = pq.read_table(path)
        pq.write_table(narrow.set_column(0, "customer", narrow["customer"].cast(pa.int32())), path)
    assert values(DuckdbEngine(tables, directory=tmp_path / "spill"), 2)["count"].to_pylist() == [1] + [2] * (KEYS - 1)
    assert read == [-1]


def test_a_lost_file_is_told_by_duckdb(tmp_path: Path, read: list[int]) -> None:
    tables = DeltaTables(tmp_path / "tables")
    stored(tables, range(2))
    next((tmp_path / "tables" / "sources" / "orders").glob("*.parquet")).unlink()
    with pytest.raises(InseamError, match="orders"):
        values(DuckdbEngine(tables, directory=tmp_path / "spill"), 2)
    assert read == [-1]
