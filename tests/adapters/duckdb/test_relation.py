"""Relations: transforms compiled, checked and run."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from inseam.adapters.delta.tables import DeltaTables
from inseam.adapters.duckdb.engine import DuckdbEngine
from inseam.ir.functions import FunctionRef
from inseam.ir.relation import FunctionTransform, Relation, SqlTransform
from inseam.kernel.errors import DefinitionError, NotFoundError, SettingError
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


def forgetful(orders: Any) -> Any:
    return orders.select("customer", "at")


def broken(orders: Any) -> Any:
    return orders.mutate(x=orders.amuont)


def numbers(orders: Any) -> Any:
    return 7


def function(of: Any) -> FunctionTransform:
    return FunctionTransform(FunctionRef.of(of))


def test_the_schema_of_a_plain_relation_is_the_tables(engine: DuckdbEngine, orders: DeltaTables) -> None:
    assert engine.schema(relation()) == BEFORE


def test_a_transform_is_typed_without_a_table(engine: DuckdbEngine) -> None:
    columns = "customer, at, amount * 2 AS twice, amount > 3 AS is_big, 1 AS one, 1.5 AS half"
    sql = f"SELECT {columns} FROM orders WHERE amount > 0"
    expected = [
        ("customer", "int64"), ("at", "timestamp"), ("twice", "float64"), ("is_big", "bool"), ("one", "int64"),
        ("half", "float64"),
    ]  # fmt: skip
    assert engine.schema(relation(sql), before=BEFORE) == Schema.of(expected)
    expected = [
        ("customer", "int64"),
        ("at", "timestamp"),
        ("amount", "float64"),
        ("gross", "float64"),
        ("is_north", "bool"),
    ]
    assert engine.schema(relation(function(add_tax)), before=BEFORE) == Schema.of(expected)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT customer, at FROM orders GROUP BY ALL",
        "SELECT DISTINCT customer, at FROM orders",
        "SELECT * FROM orders JOIN orders b USING (customer)",
        "SELECT * FROM orders, orders b",
        "SELECT *, row_number() OVER (ORDER BY at) AS n FROM orders",
        "SELECT max(at) AS at FROM orders",
        "SELECT fsum(amount) AS amount, arg_max(at, amount) AS at FROM orders",
        "SELECT * FROM orders LIMIT 3",
        "SELECT * FROM orders ORDER BY at",
        "SELECT * FROM orders USING SAMPLE 3",
        "SELECT * FROM orders TABLESAMPLE 10%",
        "SELECT * FROM orders UNION ALL SELECT * FROM orders",
        "WITH x AS (SELECT 1) SELECT * FROM orders",
        "SELECT * FROM (SELECT * FROM orders)",
        "SELECT * FROM orders WHERE amount > (SELECT avg(amount) FROM orders)",
        "SELECT * FROM orders WHERE customer IN (SELECT customer FROM orders)",
        "SELECT *, unnest([1, 2]) AS twice FROM orders",
        "SELECT *, random() AS luck FROM orders",
        "SELECT *, now() - at AS age FROM orders",
        "SELECT *, current_date AS today FROM orders",
        "SELECT * FROM customers",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM other.orders",
        "SELECT customer, amount FROM orders",
        "SELECT customer, at, amount AS _seq FROM orders",
        "SELECT * EXCLUDE (_seq) FROM orders",
        "SELECT customer, at, amount, amount + 1 AS amount FROM orders",
        "SELECT customer, store AS at FROM orders",
        "SELECT *, [amount] AS amounts FROM orders",
        "SELECT *, amount + store AS x FROM orders",
        "SELECT * FROM orders; DROP TABLE orders",
        "DROP TABLE orders",
        "SELECT FROM WHERE",
    ],
)
def test_a_transform_keeps_a_row_a_row(engine: DuckdbEngine, sql: str) -> None:
    with pytest.raises(DefinitionError):
        engine.schema(relation(sql), before=BEFORE)


@pytest.mark.parametrize("transform", [total, forgetful, broken, numbers])
def test_a_function_keeps_a_row_a_row(engine: DuckdbEngine, transform: Any) -> None:
    with pytest.raises(DefinitionError) as raised:
        engine.schema(relation(function(transform)), before=BEFORE)
    assert "sources/orders" in raised.value.problems[0].subject


def test_an_unknown_column_is_named_with_the_nearest(engine: DuckdbEngine) -> None:
    with pytest.raises(DefinitionError) as raised:
        engine.schema(relation("SELECT *, amuont * 2 AS twice FROM orders"), before=BEFORE)
    problem = raised.value.problems[0]
    assert "'amuont'" in problem.found
    assert "'amount'" in problem.mend


def test_scan_gives_rows_in_the_order_in_which_they_came(engine: DuckdbEngine, orders: DeltaTables) -> None:
    table = engine.scan(relation()).reader().read_all()
    assert table.schema.names == [*BEFORE.names, "_ingested_at", "_seq"]
    assert table["_seq"].to_pylist() == [1, 2, 3, 4]
    assert table.schema.field("at").type == pa.timestamp("us", tz="UTC")
    some = (
        engine.scan(relation(), columns=["amount"], where="store = 'north' AND customer IS NOT NULL")
        .reader()
        .read_all()
    )
    assert some.to_pydict() == {"amount": [10.0]}


def test_scan_runs_the_transform(engine: DuckdbEngine, orders: DeltaTables) -> None:
    table = (
        engine.scan(relation("SELECT at, upper(store) AS store FROM orders o WHERE o.amount > 2")).reader().read_all()
    )
    assert table.drop_columns(["at"]).to_pydict() == {
        "store": [None, "NORTH"],
        "_ingested_at": [None, None],
        "_seq": [1, 2],
    }
    table = engine.scan(relation(function(add_tax)), columns=["gross", "_seq"]).reader().read_all()
    assert table.to_pydict() == {"gross": [pytest.approx(6.6), 12.0], "_seq": [1, 2]}


def test_scan_of_an_older_snapshot(engine: DuckdbEngine, orders: DeltaTables) -> None:
    first = orders.snapshot("sources/orders").version - 1
    assert engine.scan(relation().at(first), columns=["_seq"]).reader().read_all().to_pydict() == {"_seq": [2, 3]}


def test_what_is_missing_is_said(engine: DuckdbEngine, orders: DeltaTables) -> None:
    with pytest.raises(NotFoundError):
        engine.schema(relation(table="sources/ordres"))
    with pytest.raises(DefinitionError, match="'stoer'"):
        engine.scan(relation(), columns=["stoer"])
    with pytest.raises(DefinitionError, match="amuont"):
        engine.scan(relation(), where="amuont > 1")
    with pytest.raises(DefinitionError, match="'when'"):
        engine.schema(Relation("sources/orders", "when", BEFORE))


def test_a_path_is_no_glob(tmp_path: Path, orders: DeltaTables) -> None:
    odd = DeltaTables(tmp_path / "[a]*?'x")
    engine = DuckdbEngine(orders, directory=tmp_path / "spill")
    odd.append("sources/orders", engine.scan(relation()).reader())
    found = DuckdbEngine(odd, directory=tmp_path / "spill").scan(relation(), columns=["_seq"])
    assert found.reader().read_all()["_seq"].to_pylist() == [1, 2, 3, 4]


def test_a_memory_limit_that_is_no_size_is_refused(tmp_path: Path, tables: DeltaTables) -> None:
    with pytest.raises(SettingError, match="much"):
        DuckdbEngine(tables, directory=tmp_path, memory_limit="much")
