"""A table of orders, loaded in two parts, and a view of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from inseam.adapters.delta.tables import DeltaTables
from inseam.adapters.duckdb.engine import DuckdbEngine
from inseam.ir.aggregates import AggregateKind, AggregateSpec
from inseam.ir.relation import INGESTED_AT, SEQUENCE, Relation
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.clock import DAY, Step
from inseam.kernel.types import DataType, Schema, arrow_type
from inseam.stages.observe.reads import Reads, recompute

SCHEMA = Schema.of([("customer", "int64"), ("at", "timestamp"), ("amount", "float64"), ("store", "string")])
BOUNDARY = 10 * DAY


@dataclass
class World:
    engine: DuckdbEngine
    tables: DeltaTables
    view: WindowedAggregate

    def append(self, *rows: tuple[int, int, float, str, int | None]) -> int:
        """(customer, day, amount, store, day of ingestion): the snapshot with them."""
        columns = [*zip(*rows, strict=True)] if rows else [[]] * 5
        days = [None if day is None else day * DAY for day in columns[4]]
        instant = arrow_type(DataType.TIMESTAMP)
        table = pa.table(
            {
                "customer": pa.array(columns[0], pa.int64()),
                "at": pa.array([day * DAY for day in columns[1]], instant),
                "amount": pa.array(columns[2], pa.float64()),
                "store": pa.array(columns[3], pa.string()),
                INGESTED_AT: pa.array(days, instant),
                SEQUENCE: pa.array(range(len(rows)), pa.int64()),
            }
        )
        return self.tables.append(self.view.relation.table, table.to_reader())

    def read(self, version: int, *customers: int, **wrong: Any) -> Reads:
        """What was right at the boundary in that snapshot; ``wrong`` values of the first customer."""
        keys = pa.table({"customer": pa.array(customers, pa.int64())})
        named = (np.full(len(customers), BOUNDARY), np.full(len(customers), version))
        values = recompute(self.engine, self.view.at(version), Reads(keys, *named, {}))
        values = {name: column.copy() for name, column in values.items()}
        for name, value in wrong.items():
            values[name][0] = value
        return Reads(keys, *named, values)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    tables = DeltaTables(tmp_path / "tables")
    aggregates = (
        AggregateSpec("orders", AggregateKind.COUNT, DataType.INT64, None, 30 * DAY),
        AggregateSpec("spend", AggregateKind.SUM, DataType.FLOAT64, "amount", 30 * DAY),
        AggregateSpec("store", AggregateKind.LAST, DataType.STRING, "store"),
        AggregateSpec("since", AggregateKind.MAX, DataType.TIMESTAMP, "at"),
    )
    view = WindowedAggregate(
        "spend", Relation("sources/orders", "at", SCHEMA), ("customer",), Step(DAY), 0, aggregates
    )  # fmt: skip
    engine = DuckdbEngine(tables, directory=tmp_path / "spill", memory_limit="256MB", threads=1)
    world = World(engine, tables, view)
    world.append((1, 3, 0.1, "a", None), (1, 4, 0.2, "b", None), (2, 5, 1.0, "c", None), (3, 6, 2.0, "c", 7))
    yield world
