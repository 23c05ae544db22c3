"""Relations on Spark: the files of a snapshot, transforms, and the order of ingestion."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from inseam.adapters.delta.tables import DeltaTables
from inseam.adapters.duckdb.engine import DuckdbEngine
from inseam.adapters.spark.engine import SparkEngine
from inseam.ir.functions import FunctionRef
from inseam.ir.relation import FunctionTransform, Relation, SqlTransform
from inseam.kernel.errors import DataError, DefinitionError, NotFoundError
from inseam.kernel.types import Schema

BEFORE = Schema.of([("customer", "int64"), ("at", "timestamp"), ("amount", "float64"), ("store", "string")])


def relation(transform: Any = None, table: str = "sources/orders") -> Relation:
    return Relation(table, "at", Schema(()), SqlTransform(transform) if isinstance(transform, str) else transform)


def add_tax(orders: Any) -> Any:
    return (
        orders.mutate(gross=orders.amount * 1.2, is_north=orders.store == "north")
        .filter(orders.amount > 2)
        .drop("store")
    )


def total(orders: Any) -> Any:
    return orders.mutate(share=orders.amount / orders.amount.sum())


def function(of: Any) -> FunctionTransform:
    return FunctionTransform(FunctionRef.of(of))


TRANSFORMS: list[Any] = [
    None,
    "SELECT at, upper(store) AS store, amount / 3 AS third FROM orders o WHERE o.amount > 2",
    "SELECT *, CAST(amount AS INTEGER) AS whole, date_trunc('week', at) AS week FROM orders",
    function(add_tax),
]


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_schema_and_rows_are_those_of_duckdb(
    engine: SparkEngine, duckdb: DuckdbEngine, orders: DeltaTables, transform: Any
) -> None:
    asked = relation(transform)
    assert engine.schema(asked) == duckdb.schema(asked) == engine.schema(asked, before=BEFORE)
    found = engine.scan(asked).reader().read_all()
    assert found == duckdb.scan(asked).reader().read_all()
    assert found.num_rows > 0


@pytest.mark.parametrize(
    "transform", ["SELECT * FROM orders LIMIT 3", "SELECT max(at) AS at FROM orders", function(total)]
)
def test_a_transform_keeps_a_row_a_row(engine: SparkEngine, transform: Any) -> None:
    with pytest.raises(DefinitionError):
        engine.schema(relation(transform), before=BEFORE)


def test_some_columns_of_some_rows(engine: SparkEngine, orders: DeltaTables) -> None:
    some = (
        engine.scan(relation(), columns=["amount"], where="store = 'north' AND customer IS NOT NULL")
        .reader()
        .read_all()
    )
    assert some.to_pydict() == {"amount": [10.0]}


def test_an_older_snapshot_and_a_table_that_has_grown_wider(
    engine: SparkEngine, duckdb: DuckdbEngine, orders: DeltaTables
) -> None:
    version = orders.snapshot("sources/orders").version
    wider = duckdb.scan(relation("SELECT *, 'card' AS paid FROM orders")).reader().read_all()
    orders.append("sources/orders", wider.to_reader())
    assert engine.scan(relation().at(version - 1), columns=["_seq"]).reader().read_all().to_pydict() == {"_seq": [2, 3]}
    found = engine.scan(relation(), columns=["_seq", "paid"]).reader().read_all()
    assert (
        sorted(zip(*found.to_pydict().values(), strict=True), key=str)
        == [(n, paid) for n in (1, 2, 3, 4) for paid in (None, "card")]
        or found.num_rows == 8
    )
    assert found["paid"].null_count == 4


def test_rows_without_numbers_come_as_the_files_hold_them(engine: SparkEngine, tables: DeltaTables) -> None:
    arrow = BEFORE.to_arrow()
    for start in (5, 3, 0):
        amounts = [float(n) for n in range(start, start + 3)]
        tables.append("plain", pa.Table.from_pylist([{"amount": amount} for amount in amounts], arrow).to_reader())
    found = engine.scan(relation(table="plain"), columns=["amount", "_seq"]).reader().read_all()
    assert found["amount"].to_pylist() == [5.0, 6.0, 7.0, 3.0, 4.0, 5.0, 0.0, 1.0, 2.0]
    assert found["_seq"].null_count == 9


def test_what_is_missing_is_said(engine: SparkEngine, orders: DeltaTables) -> None:
    with pytest.raises(NotFoundError):
        engine.schema(relation(table="sources/ordres"))
    with pytest.raises(DefinitionError, match="'stoer'"):
        engine.scan(relation(), columns=["stoer"])
    with pytest.raises(DefinitionError, match="amuont"):
        engine.scan(relation(), where="amuont > 1")


def test_a_path_is_no_glob_and_a_column_may_have_spaces(
    duckdb: DuckdbEngine, tmp_path: Path, orders: DeltaTables
) -> None:
    odd = DeltaTables(tmp_path / "[a]*?{b} 'x y")
    odd.append("sources/orders", duckdb.scan(relation('SELECT at, amount AS "a (b) c" FROM orders')).reader())
    engine = SparkEngine(odd, directory=tmp_path / "staging", url="local[2]")
    assert engine.scan(relation()).reader().read_all()["a (b) c"].to_pylist() == [5.5, 10.0, None, 1.0]
    odd.append("dotted", duckdb.scan(relation('SELECT at, amount AS "a.b" FROM orders')).reader())
    with pytest.raises(DataError, match=r"'a\.b'"):
        engine.scan(relation(table="dotted"))
