"""Spines on Spark: the rows and the order of DuckDB's."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from inseam.adapters.delta.tables import DeltaTables
from inseam.adapters.duckdb.engine import DuckdbEngine
from inseam.adapters.spark.engine import SparkEngine
from inseam.ir.relation import Relation, SqlTransform
from inseam.ir.spine import RowsSpine, SnapshotsSpine, TableSpine
from inseam.kernel.clock import DAY, HOUR, Step, parse_instant
from inseam.kernel.errors import DataError, DefinitionError
from inseam.kernel.types import Schema

ORDERS = Relation("sources/orders", "at", Schema(()))
BIG = Relation("sources/orders", "at", Schema(()), SqlTransform("SELECT *, upper(store) AS shop FROM orders"))
SPINES: list[Any] = [
    RowsSpine(ORDERS, ("customer",), ("amount", "store")),
    RowsSpine(BIG, ("shop", "customer"), ("amount",)),
    SnapshotsSpine(ORDERS, ("customer",), Step(DAY)),
    SnapshotsSpine(BIG, ("shop",), Step(DAY, "Europe/Berlin"), active=2 * DAY),
    SnapshotsSpine(ORDERS, ("customer",), Step(HOUR), active=3 * HOUR),
    SnapshotsSpine(
        ORDERS, ("store", "customer"), Step(7 * DAY), None, parse_instant("2023-12-01"), parse_instant("2026-01-01")
    ),
    SnapshotsSpine(ORDERS, ("customer",), Step(1), None, parse_instant("2024-01-03"), parse_instant("2024-01-03") + 1),
]  # fmt: skip


@pytest.mark.parametrize("spine", SPINES)
def test_spines_are_those_of_duckdb(engine: SparkEngine, duckdb: DuckdbEngine, orders: DeltaTables, spine: Any) -> None:
    found = engine.spine(spine).reader().read_all()
    assert found == duckdb.spine(spine).reader().read_all()
    assert found.num_rows > 0


def test_a_long_spine_unfolds_in_bounded_batches(
    engine: SparkEngine, duckdb: DuckdbEngine, orders: DeltaTables
) -> None:
    spine = SnapshotsSpine(ORDERS, ("customer",), Step(HOUR), end=parse_instant("2034-01-01"))
    found = list(engine.spine(spine).reader())
    assert sum(batch.num_rows for batch in found) == duckdb.spine(spine).reader().read_all().num_rows > 150_000
    assert max(batch.num_rows for batch in found) <= 1 << 16


def test_a_spine_of_the_users_own_file(engine: SparkEngine, duckdb: DuckdbEngine, tmp_path: Path) -> None:
    path = tmp_path / "spine.csv"
    text = "customer,when,note\n7,2024-01-02 03:04:05,b\n,2024-01-01,a\n1,2024-01-01,\n"
    path.write_text(text, encoding="utf-8")
    schema = Schema.of([("customer", "int64"), ("when", "timestamp"), ("note", "string")])
    spine = TableSpine(str(path), "", ("customer",), "when", schema)
    assert engine.spine(spine).reader().read_all() == duckdb.spine(spine).reader().read_all()
    path.write_text("customer,when,note\n7,,b\n", encoding="utf-8")
    with pytest.raises(DataError, match="'when'"):
        engine.spine(spine)


def test_what_no_spine_can_be_is_refused(engine: SparkEngine, orders: DeltaTables) -> None:
    with pytest.raises(DefinitionError, match="every instant"):
        engine.spine(SnapshotsSpine(ORDERS, ("customer",), Step(0)))
    with pytest.raises(DefinitionError, match="'custmer'"):
        engine.spine(RowsSpine(ORDERS, ("custmer",)))


def test_a_table_without_rows_has_no_spine(engine: SparkEngine, tables: DeltaTables) -> None:
    schema = Schema.of([("customer", "int64"), ("at", "timestamp")]).to_arrow()
    tables.append("sources/orders", schema.empty_table().to_reader())
    assert engine.spine(SnapshotsSpine(ORDERS, ("customer",), Step(DAY))).reader().read_all().num_rows == 0
    assert engine.spine(RowsSpine(ORDERS, ("customer",))).reader().read_all().num_rows == 0
    assert np.array_equal(
        engine.scan(ORDERS, columns=["customer"]).reader().read_all()["customer"], pa.array([], pa.int64())
    )
