"""Spines from rows and from files; snapshots are in the contract."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inseam.adapters.delta.tables import DeltaTables
from inseam.adapters.duckdb.engine import DuckdbEngine
from inseam.ir.relation import Relation, SqlTransform
from inseam.ir.spine import RowsSpine, SnapshotsSpine, TableSpine
from inseam.kernel.clock import DAY, Step, parse_instant
from inseam.kernel.errors import DataError, DefinitionError, NotFoundError
from inseam.kernel.types import Schema

ORDERS = Relation("sources/orders", "at", Schema(()))
BROUGHT = Schema.of([("store", "string"), ("customer", "int64"), ("when", "timestamp"), ("is_won", "bool")])


def at(day: int, hour: int = 0) -> datetime:
    return datetime(2024, 1, 1, hour, tzinfo=UTC) + timedelta(days=day - 1)


def brought(path: Path) -> TableSpine:
    return TableSpine(str(path), "", ("customer", "store"), "when", BROUGHT)


def test_rows_in_the_order_of_time(engine: DuckdbEngine, orders: DeltaTables) -> None:
    found = engine.spine(RowsSpine(ORDERS, ("customer",), ("amount",))).reader().read_all()
    assert found.schema.names == ["customer", "event_time", "amount"]
    assert found.schema.field("event_time").type == pa.timestamp("us", tz="UTC")
    assert found.to_pydict() == {
        "customer": [1, 1, 2],
        "event_time": [at(1), at(2), at(3)],
        "amount": [5.5, 10.0, None],
    }


def test_rows_of_a_transformed_relation(engine: DuckdbEngine, orders: DeltaTables) -> None:
    relation = Relation("sources/orders", "at", Schema(()), SqlTransform("SELECT * FROM orders WHERE amount > 6"))
    assert engine.spine(RowsSpine(relation, ("store",))).reader().read_all()["store"].to_pylist() == ["north"]


def test_snapshots_within_bounds(engine: DuckdbEngine, orders: DeltaTables) -> None:
    bounds = parse_instant("2024-01-02"), parse_instant("2024-01-05")
    found = engine.spine(SnapshotsSpine(ORDERS, ("customer",), Step(DAY), DAY, *bounds)).reader().read_all().to_pylist()
    assert [(row["event_time"].day, row["customer"]) for row in found] == [(2, 1), (3, 1), (4, 2)]
    with pytest.raises(DefinitionError, match="every instant"):
        engine.spine(SnapshotsSpine(ORDERS, ("customer",), Step(0)))
    with pytest.raises(DefinitionError, match="'custmer'"):
        engine.spine(SnapshotsSpine(ORDERS, ("custmer",), Step(DAY)))


def test_a_csv_file_in_its_own_order(engine: DuckdbEngine, tmp_path: Path) -> None:
    path = tmp_path / "spine.csv"
    path.write_text(
        "when,customer,store,extra,is_won\n"
        "2024-03-01 12:00:00,2,007,x,true\n"
        "2024-02-29T12:00:00+02:00,1,b,,\n"
        "2024-02-28,,b,,false\n"
    )
    found = engine.spine(brought(path)).reader().read_all()
    assert found.schema.names == ["customer", "store", "event_time", "is_won"]
    assert found.to_pylist() == [
        {"customer": 2, "store": "007", "event_time": datetime(2024, 3, 1, 12, tzinfo=UTC), "is_won": True},
        {"customer": 1, "store": "b", "event_time": datetime(2024, 2, 29, 10, tzinfo=UTC), "is_won": None},
    ]


def test_a_parquet_file_with_naive_times(engine: DuckdbEngine, tmp_path: Path) -> None:
    path = tmp_path / "spine.parquet"
    naive = pa.array([at(61, 12), at(32)], pa.timestamp("ms", tz="UTC")).cast(pa.timestamp("ms"))
    columns = {"when": naive, "customer": pa.array([2, 1], pa.int32()), "store": ["a", "b"], "is_won": [True, None]}
    pq.write_table(pa.table(columns), path)
    found = engine.spine(brought(path)).reader().read_all()
    assert found["event_time"].to_pylist() == [at(61, 12), at(32)]
    assert found["customer"].type == pa.int64()


def test_a_file_that_does_not_fit_is_refused(engine: DuckdbEngine, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        engine.spine(brought(tmp_path / "none.csv"))
    path = tmp_path / "spine.csv"
    path.write_text("when,customer,store,is_won\n,1,a,true\n")
    with pytest.raises(DataError, match="1 rows have no 'when'"):
        engine.spine(brought(path))
    path.write_text("when,customer,store,is_won\n2024-01-01,one,a,true\n")
    with pytest.raises(DataError, match="one"):
        engine.spine(brought(path)).reader().read_all()
    path.write_text("when,client,store,is_won\n2024-01-01,1,a,true\n")
    with pytest.raises(DefinitionError, match="customer"):
        engine.spine(brought(path))
