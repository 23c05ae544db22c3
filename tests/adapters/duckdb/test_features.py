"""The windowed aggregate where the contract does not reach: errors, limits, threads, odd cells."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from inseam.adapters.delta.tables import DeltaTables
from inseam.adapters.duckdb.engine import DuckdbEngine
from inseam.ir.aggregates import AggregateKind, AggregateSpec, result_type
from inseam.ir.relation import Relation, SqlTransform
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.clock import DAY, HOUR, Step
from inseam.kernel.errors import DataError, DefinitionError, SettingError
from inseam.kernel.types import DataType, Schema

STAMP = pa.timestamp("us", tz="UTC")
TYPES = {"amount": DataType.FLOAT64, "store": DataType.STRING, "customer": DataType.INT64}


def day(number: int) -> datetime:
    return datetime(2024, 1, number, tzinfo=UTC)


def spec(name: str, kind: str, column: str | None = None, **more: Any) -> AggregateSpec:
    kind_ = AggregateKind(kind)
    return AggregateSpec(name, kind_, result_type(kind_, None if column is None else TYPES[column]), column, **more)


def view(*specs: AggregateSpec, name: str = "spend", transform: str | None = None, **more: Any) -> WindowedAggregate:
    relation = Relation("sources/orders", "at", Schema(()), None if transform is None else SqlTransform(transform))
    fixed = {"keys": ("customer",), "step": Step(0), "lag": 0} | more
    return WindowedAggregate(name, relation, aggregates=specs, **fixed)


def spine(**columns: Any) -> pa.RecordBatchReader:
    fixed = {"customer": [1, 2, None], "event_time": pa.array([day(5)] * 3, STAMP)} | columns
    return pa.table(fixed).to_reader()


def test_a_transform_comes_before_the_aggregate(engine: DuckdbEngine, orders: DeltaTables) -> None:
    made = view(
        AggregateSpec("n", AggregateKind.COUNT, DataType.INT64, where="twice > 12"),
        AggregateSpec("most", AggregateKind.MAX, DataType.FLOAT64, "twice"),
        transform="SELECT customer, at, amount * 2 AS twice FROM orders",
    )
    found = engine.features(spine(), [made]).reader().read_all()
    assert found.select(["n", "most"]).to_pydict() == {"n": [1, 0, 0], "most": [20.0, None, None]}


def test_keys_may_be_narrower_or_text_that_fits(engine: DuckdbEngine, orders: DeltaTables) -> None:
    counted = view(spec("n", "count"))
    for keys in (pa.array([1, 2, 9], pa.int8()), pa.array(["1", "2", "9"])):
        assert engine.features(spine(customer=keys), [counted]).reader().read_all()["n"].to_pylist() == [2, 1, 0]
    with pytest.raises(DataError, match="customer"):
        engine.features(spine(customer=["1", "x", "9"]), [counted]).reader().read_all()


def test_nan_is_null(engine: DuckdbEngine, tables: DeltaTables) -> None:
    rows = {"customer": [1, 1, 1], "at": pa.array([day(1), day(2), day(3)], STAMP), "amount": [2.0, 4.0, np.nan]}
    tables.append("sources/orders", pa.table(rows).to_reader())
    kinds = ("count", "sum", "mean", "min", "max", "first", "last", "distinct", "std")
    made = view(*(spec(kind, kind, "amount") for kind in kinds), spec("half", "quantile", "amount", quantile=0.5))
    for path in ("auto", "general"):
        engine._path = path
        found = engine.features(spine(), [made]).reader().read_all().to_pylist()[0]
        assert [found[kind] for kind in kinds[:-1]] == [2, 6.0, 3.0, 2.0, 4.0, 2.0, None, 2]
        assert found["half"] == 3.0


def test_mistakes_name_the_view_and_the_feature(engine: DuckdbEngine, orders: DeltaTables) -> None:
    def subject(*views: WindowedAggregate) -> str:
        with pytest.raises(DefinitionError) as raised:
            engine.features(spine(), views)
        return raised.value.problems[0].subject

    assert subject(view(spec("n", "count", where="amuont > 1"))) == "spend.n"
    assert subject(view(spec("n", "count", where="amount + 1"))) == "spend.n"
    assert subject(view(spec("n", "count", where="sum(amount) > 1"))) == "spend.n"
    assert subject(view(spec("n", "count", where="amount >"))) == "spend.n"
    assert subject(view(AggregateSpec("s", AggregateKind.SUM, DataType.FLOAT64, "amuont"))) == "spend.s"
    assert subject(view(AggregateSpec("s", AggregateKind.SUM, DataType.FLOAT64, "store"))) == "spend.s"
    assert subject(view(AggregateSpec("s", AggregateKind.SUM, DataType.FLOAT64))) == "spend.s"
    assert subject(view(spec("n", "count"), keys=("client",))) == "spend"


def test_a_spine_that_does_not_fit_is_refused(engine: DuckdbEngine, orders: DeltaTables) -> None:
    counted = view(spec("n", "count"))
    with pytest.raises(DataError, match="'customer'"):
        engine.features(pa.table({"event_time": pa.array([day(5)], STAMP)}).to_reader(), [counted])
    with pytest.raises(DataError, match="string"):
        engine.features(spine(event_time=["a", "b", "c"]), [counted])
    with pytest.raises(DataError, match="1 rows have no event_time"):
        engine.features(spine(event_time=pa.array([day(5), None, day(6)], STAMP)), [counted]).reader().read_all()
    with pytest.raises(DataError, match="'n'"):
        engine.features(spine(n=[1, 2, 3]), [counted])
    with pytest.raises(DataError, match="'n'"):
        engine.features(spine(), [counted, view(spec("n", "count"), name="other")])


def test_a_table_without_rows_and_without_system_columns(engine: DuckdbEngine, tables: DeltaTables) -> None:
    schema = pa.schema([("customer", pa.int64()), ("at", STAMP), ("amount", pa.float64()), ("store", pa.string())])
    tables.append("sources/orders", schema.empty_table().to_reader())
    made = view(
        spec("n", "count"),
        spec("l", "last", "store"),
        spec("m", "min", "store"),
        spec("q", "quantile", "amount", quantile=0.1),
    )
    found = engine.features(spine(), [made]).reader().read_all().select(["n", "l", "m", "q"])
    assert found.to_pydict() == {"n": [0, 0, 0], "l": [None] * 3, "m": [None] * 3, "q": [None] * 3}


def crowd(tables: DeltaTables, rows: int, customers: int) -> pa.Table:
    """Random orders in ``sources/orders``, some of them late, and a spine a tenth as long in no order."""
    random = np.random.default_rng(5)
    start = int(day(1).timestamp()) * 1_000_000
    at = random.integers(0, 60 * 24, rows) * HOUR + start
    columns = {
        "customer": random.integers(0, customers, rows),
        "at": pa.array(at).cast(STAMP),
        "amount": pa.array(random.lognormal(3, 3, rows), mask=random.random(rows) < 0.05),
        "store": pa.array(random.integers(0, 300, rows)).cast(pa.string()),
        "_ingested_at": pa.array(at + random.integers(0, 3 * DAY, rows), mask=random.random(rows) < 0.5).cast(STAMP),
        "_seq": np.arange(rows),
    }
    tables.append("sources/orders", pa.table(columns).to_reader(100_000))
    reads = {
        "customer": random.integers(0, customers + 3, rows // 10),
        "event_time": pa.array(random.integers(0, 60 * 24, rows // 10) * HOUR + start + 1).cast(STAMP),
        "note": pa.array(random.integers(0, 9, rows // 10)).cast(pa.string()),
    }
    return pa.table(reads)


def many_views() -> list[WindowedAggregate]:
    kinds = ("count", "sum", "mean", "min", "max", "std", "first", "last", "distinct")
    by_customer = view(
        *(spec(kind, kind, "amount", over=7 * DAY) for kind in kinds),
        spec("all", "sum", "amount"),
        spec("store", "last", "store", over=DAY, where="amount > 20"),
        spec("median", "quantile", "amount", over=2 * DAY, quantile=0.5),
        step=Step(DAY), lag=HOUR,
    )  # fmt: skip
    both = view(spec("pair", "mean", "amount"), name="pair", keys=("customer", "note"),
                transform="SELECT *, CAST(customer % 9 AS VARCHAR) AS note FROM orders")  # fmt: skip
    label = view(spec("ahead", "sum", "amount"), spec("next", "first", "store"), name="label", forward=5 * DAY)
    return [by_customer, both, label]


def test_values_are_the_same_bits_at_any_memory_limit(tables: DeltaTables, tmp_path: Path) -> None:
    reads = crowd(tables, 300_000, 4_000)
    engines = [DuckdbEngine(tables, directory=tmp_path / "spill", memory_limit=size) for size in ("2GB", "64MB", "9MB")]
    whole, *spilled = [engine.features(reads.to_reader(7_777), many_views()).reader().read_all() for engine in engines]
    assert whole.num_rows == reads.num_rows
    for other in spilled:
        assert other.combine_chunks().equals(whole.combine_chunks())
    assert list((tmp_path / "spill").iterdir()) == []


def test_threads_share_an_engine(tables: DeltaTables, tmp_path: Path) -> None:
    reads = crowd(tables, 20_000, 100)
    engine = DuckdbEngine(tables, directory=tmp_path / "spill", memory_limit="9MB")
    expected = engine.features(reads.to_reader(), many_views()).reader().read_all()
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: engine.features(reads.to_reader(), many_views()).reader().read_all(), range(8)):
            assert found.equals(expected)


@pytest.mark.parametrize("limit", ["1GB", "300KB"])
def test_a_stream_that_is_dropped_leaves_nothing_behind(tables: DeltaTables, tmp_path: Path, limit: str) -> None:
    reads = crowd(tables, 5_000, 50)
    engine = DuckdbEngine(tables, directory=tmp_path / "spill", memory_limit=limit)
    engine.features(reads.to_reader(), many_views())
    begun = engine.features(reads.to_reader(), many_views()).reader()
    begun.read_next_batch()
    del begun
    assert list((tmp_path / "spill").iterdir()) == []


def test_quantiles_of_both_paths_are_the_same_bits_in_slices_too(
    tables: DeltaTables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inseam.adapters.duckdb import general

    reads = crowd(tables, 20_000, 20)
    engine = DuckdbEngine(tables, directory=tmp_path / "spill", memory_limit="1GB")
    made = [view(spec("median", "quantile", "amount", over=9 * DAY, quantile=0.5), step=Step(DAY))]
    expected = engine.features(reads.to_reader(), made).reader().read_all()
    monkeypatch.setattr(engine, "_path", "general")
    assert engine.features(reads.to_reader(), made).reader().read_all().equals(expected)
    monkeypatch.setattr(general, "_CELL_BYTES", 1 << 20)
    assert engine.features(reads.to_reader(), made).reader().read_all().equals(expected)


def test_a_hot_key_is_answered_in_slices_of_time(
    tables: DeltaTables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inseam.adapters.duckdb import partition, slices

    cut: list[int] = []

    class Spied(slices.Slices):
        def cut(self, *arguments: Any) -> list[slices.Slice]:
            found = super().cut(*arguments)
            cut.append(len(found))
            return found

    monkeypatch.setattr(partition, "Slices", Spied)
    monkeypatch.setattr(partition, "_LEAST_ROOM", 700_000)
    reads = crowd(tables, 40_000, 2)
    windows = {"over": 2 * DAY}
    specs = [
        spec(kind, kind, "amount", **windows) for kind in ("sum", "mean", "min", "last", "distinct", "std", "count")
    ]
    made = [
        view(*specs, step=Step(DAY), lag=DAY // 2),
        view(spec("ahead", "count"), name="label", forward=DAY),
    ]

    def read(limit: str) -> pa.Table:
        engine = DuckdbEngine(tables, directory=tmp_path / "spill", memory_limit=limit, threads=2)
        return engine.features(reads.to_reader(10_000), made).reader().read_all()

    assert read("1KB").equals(read("1GB"))
    assert max(cut) > 3
    made.append(view(spec("ever", "sum", "amount"), name="ever"))
    with pytest.raises(SettingError, match="of one key") as raised:
        read("1KB")
    assert raised.value.problems[0].subject == "ever"


@pytest.mark.parametrize("path", ["auto", "general"])
def test_a_whole_sum_beyond_64_bits_is_refused(engine: DuckdbEngine, tables: DeltaTables, path: str) -> None:
    rows = {"customer": [1, 1], "at": pa.array([day(1), day(2)], STAMP), "n": [2**63 - 1, 1]}
    tables.append("sources/orders", pa.table(rows).to_reader())
    engine._path = path
    made = [view(AggregateSpec("total", AggregateKind.SUM, DataType.INT64, "n"))]
    with pytest.raises(DataError, match="does not fit into 64 bits") as raised:
        engine.features(spine(customer=[1], event_time=pa.array([day(3)], STAMP)), made).reader().read_all()
    assert raised.value.problems[0].subject == "spend"
