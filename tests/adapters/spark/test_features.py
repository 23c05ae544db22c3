"""Windowed aggregates on Spark: DuckDB's bits, whatever the buckets; one exchange a side; no task that does it all."""

import json
import re
from collections.abc import Sequence
from typing import Any
from urllib.request import urlopen

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from inseam.adapters.delta.tables import DeltaTables
from inseam.adapters.duckdb.engine import DuckdbEngine
from inseam.adapters.spark import buckets
from inseam.adapters.spark.engine import SparkEngine
from inseam.ir.aggregates import ALGEBRA, AggregateKind, AggregateSpec, result_type
from inseam.ir.relation import Relation, SqlTransform
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.clock import DAY, HOUR, Step
from inseam.kernel.errors import DataError
from inseam.kernel.types import DataType, Schema

YEAR = 365 * DAY
STAMP = pa.timestamp("us", tz="UTC")
SCHEMA = Schema.of(
    [
        ("customer", "int64"),
        ("at", "timestamp"),
        ("amount", "float64"),
        ("colour", "string"),
        ("_ingested_at", "timestamp"),
        ("_seq", "int64"),
    ]
)


def events(rows: int, hot: float = 0.0, seed: int = 1) -> pa.Table:
    """A year of events of 500 customers, one in twenty late; ``hot``: the share of customer 7."""
    random = np.random.default_rng(seed)
    customer = np.where(random.random(rows) < hot, 7, random.integers(0, 500, rows))
    at = random.integers(0, YEAR // HOUR, rows) * HOUR
    known = at + random.integers(0, 3 * DAY, rows)
    columns = [
        pa.array(customer, mask=random.random(rows) < 0.01),
        pa.array(at).cast(STAMP),
        pa.array(np.round(random.lognormal(3, 1, rows), 2), mask=random.random(rows) < 0.1),
        pa.array(random.integers(0, 9, rows)).cast(pa.string()),
        pa.array(known, mask=random.random(rows) > 0.05).cast(STAMP),
        pa.array(np.arange(rows)),
    ]
    return pa.table(columns, schema=SCHEMA.to_arrow())


def reads(rows: int, hot: float = 0.0) -> pa.Table:
    random = np.random.default_rng(3)
    customer = np.where(random.random(rows) < hot, 7, random.integers(0, 600, rows))
    at = pa.array(random.integers(0, YEAR, rows)).cast(STAMP)
    held = pa.array(customer, mask=random.random(rows) < 0.02)
    return pa.table({"customer": held, "event_time": at, "number": np.arange(rows), "note": ["n"] * rows})


def view(
    name: str, table: str, kinds: Sequence[str], overs: Sequence[int | None] = (DAY, 30 * DAY), **more: Any
) -> WindowedAggregate:
    keys = more.pop("keys", ("customer",))
    specs = []
    for number, kind in enumerate(map(AggregateKind, kinds)):
        column = "amount" if DataType.FLOAT64 in ALGEBRA[kind].accepts else "colour"
        type_ = result_type(kind, SCHEMA.type_of(column))
        share = 0.9 if kind is AggregateKind.QUANTILE else None
        where = "colour <> '3' AND amount > 5" if number % 2 else None
        specs += [
            AggregateSpec(f"{name}_{kind}_{place}", kind, type_, column, over, where, share)
            for place, over in enumerate(overs)
        ]
    relation = Relation(table, "at", SCHEMA, more.pop("transform", None))
    return WindowedAggregate(name, relation, keys, more.pop("step", Step(HOUR)), 0, tuple(specs), **more)


ALL = ("count", "sum", "mean", "min", "max", "std", "first", "last", "distinct", "quantile")


@pytest.fixture
def sales(tables: DeltaTables) -> DeltaTables:
    table = events(60_000)
    tables.append("sales", table.slice(0, 20_000).to_reader())
    tables.append("sales", table.slice(20_000).to_reader())
    tables.append("visits", events(20_000, seed=2).to_reader())
    return tables


def test_every_aggregate_is_duckdbs_to_the_bit_in_many_buckets(
    sales: DeltaTables, engine: SparkEngine, duckdb: DuckdbEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inseam.adapters.spark import features

    monkeypatch.setattr(features, "_ROWS_A_BUCKET", 1_000)
    cents = SqlTransform("SELECT *, amount * 100 AS cents FROM visits WHERE colour <> '8'")
    views = [
        view("sales", "sales", ALL),
        view("visits", "visits", ("sum", "last"), (None,), transform=cents),
        view("colours", "sales", ("count", "max"), keys=("colour", "customer"), step=Step(DAY, "Europe/Berlin")),
        view("label", "sales", ("sum",), (None,), forward=DAY),
        view("guests", "visits", ("mean", "last"), default=(7,)),
    ]
    spine = reads(20_000).append_column("colour", pa.array(["1", "5", None, "x"] * 5_000))
    rows = engine.features(spine.to_reader(3_000), views)
    assert rows.reader().read_all() == duckdb.features(spine.to_reader(), views).reader().read_all()


def test_the_plan_has_an_exchange_a_side_and_one_for_the_order(sales: DeltaTables, engine: SparkEngine) -> None:
    both = [view("sales", "sales", ("sum",)), view("visits", "visits", ("count",))]
    for views in (both[:1], both):
        rows = engine.features(reads(20_000).to_reader(), views)
        plan = rows.frame._jdf.queryExecution().executedPlan().toString()
        exchanges = re.findall(r"(\w*Exchange) ", plan)
        assert exchanges == ["Exchange"] * 3, plan
        assert "CartesianProduct" not in plan and "NestedLoop" not in plan and "BatchEvalPython" not in plan
        # What the views don't name is not read.
        assert "colour" not in re.findall(r"ReadSchema: .*", plan)[1]


def tasks_of_buckets(engine: SparkEngine) -> list[int]:
    """Rows that each task of the newest cogrouping stage read, by the REST API of Spark's page."""
    context = engine._session().sparkContext
    found = f"{context.uiWebUrl}/api/v1/applications/{context.applicationId}/stages?details=true&status=complete"
    with urlopen(found, timeout=60) as answer:
        stages = json.load(answer)
    for stage in sorted(stages, key=lambda one: -one["stageId"]):
        read = [task["taskMetrics"]["shuffleReadMetrics"]["recordsRead"] for task in stage["tasks"].values()]
        if len(read) == 8 and sum(read) > 400_000:
            return read
    raise AssertionError("no stage of eight buckets")


def test_a_hot_key_is_shared_by_all_tasks(
    tables: DeltaTables, engine: SparkEngine, duckdb: DuckdbEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.append("sales", events(400_000, hot=0.2).to_reader())
    monkeypatch.setattr(buckets, "_FEW", 0)
    views = [view("sales", "sales", ("sum", "last", "distinct"), (DAY, 7 * DAY))]
    spine = reads(40_000, hot=0.2)
    expected = duckdb.features(spine.to_reader(), views).reader().read_all()
    assert engine.features(spine.to_reader(), views).reader().read_all() == expected
    split = tasks_of_buckets(engine)
    monkeypatch.setattr(buckets, "_FEW", 1 << 40)
    assert engine.features(spine.to_reader(), views).reader().read_all() == expected
    whole = tasks_of_buckets(engine)
    # An even share is 12.5 %. The hot key in one bucket makes it 30 %; in slices of time it is near the even one.
    assert max(whole) / sum(whole) > 0.28
    assert max(split) / sum(split) < 0.17
    assert sum(split) < 1.2 * sum(whole)


def test_a_hot_key_in_windows_without_a_beginning_and_one_that_is_never_read(
    tables: DeltaTables, engine: SparkEngine, duckdb: DuckdbEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "_FEW", 0)
    tables.append("sales", events(200_000, hot=0.4).to_reader())
    table = events(200_000, hot=0.3, seed=5)
    tables.append("visits", table.set_column(0, "customer", pc.add(table["customer"], 1_000)).to_reader())
    views = [view("sales", "sales", ("sum", "min", "first"), (None,)), view("visits", "visits", ("sum",), (None,))]
    spine = reads(30_000, hot=0.4)
    assert (
        engine.features(spine.to_reader(), views).reader().read_all()
        == duckdb.features(spine.to_reader(), views).reader().read_all()
    )


def test_a_spine_that_cannot_be_is_refused(sales: DeltaTables, engine: SparkEngine) -> None:
    views = [view("sales", "sales", ("sum",))]
    spine = reads(10)
    with pytest.raises(DataError, match="'customer'"):
        engine.features(spine.drop_columns(["customer"]).to_reader(), views)
    timeless = spine.set_column(1, "event_time", pa.nulls(10, STAMP))
    with pytest.raises(DataError, match="10 rows have no event_time"):
        engine.features(timeless.to_reader(), views)
    other = spine.set_column(0, "customer", pa.array(["seven"] * 10))
    with pytest.raises(DataError, match="customer"):
        engine.features(other.to_reader(), views).reader().read_all()
