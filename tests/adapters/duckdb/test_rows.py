"""Row-wise expressions, sorting and statistics over streams."""

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from inseam.adapters.delta.tables import DeltaTables
from inseam.adapters.duckdb.engine import DuckdbEngine
from inseam.kernel.errors import DataError, DefinitionError


def test_evaluate_gives_exactly_the_named_columns_in_order(engine: DuckdbEngine) -> None:
    rows = pa.table({"n": np.arange(500_000), "s": pa.array(["a", None] * 250_000).dictionary_encode()})
    found = engine.evaluate(rows.to_reader(10_000), {"twice": "n * 2", "is_a": "s = 'a'", "both": "s || n"}).read_all()
    assert found.schema.names == ["twice", "is_a", "both"]
    assert found.schema.types == [pa.int64(), pa.bool_(), pa.string()]
    assert np.array_equal(found["twice"].to_numpy(), np.arange(500_000) * 2)
    assert found["both"][2].as_py() == "a2"


@pytest.mark.parametrize("text", ["sum(n)", "m + 1", "(SELECT 1)", "n OVER ()", "random()", "n)", "n; n", "[n]"])
def test_evaluate_refuses_what_is_no_row_wise_expression(engine: DuckdbEngine, text: str) -> None:
    with pytest.raises(DefinitionError) as raised:
        engine.evaluate(pa.table({"n": [1]}).to_reader(), {"x": text})
    assert raised.value.problems[0].subject == "x"


def test_a_row_that_fails_is_a_data_error(engine: DuckdbEngine) -> None:
    with pytest.raises(DataError, match="abc"):
        engine.evaluate(pa.table({"s": ["1", "abc"]}).to_reader(), {"x": "CAST(s AS BIGINT)"}).read_all()


def test_an_error_of_the_stream_that_comes_in_goes_out_as_it_was(engine: DuckdbEngine) -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"n": [1]})
        raise DataError("orders", "the file ends in the middle of a row")

    rows = pa.RecordBatchReader.from_batches(pa.schema([("n", pa.int64())]), batches())
    with pytest.raises(DataError, match="middle of a row"):
        engine.evaluate(rows, {"x": "n"}).read_all()


def test_sort_puts_nulls_first_and_keeps_ties_in_order(engine: DuckdbEngine) -> None:
    random = np.random.default_rng(1)
    keys = random.integers(0, 50, 300_000)
    rows = pa.table(
        {"k": pa.array(keys, mask=keys == 7), "s": pa.array(keys % 3).cast(pa.string()), "n": np.arange(300_000)}
    )
    found = engine.sort(rows.to_reader(7_000), ["s", "k"]).read_all()
    cells = [(keys[n] % 3, -1 if keys[n] == 7 else keys[n], n) for n in range(300_000)]
    assert found["n"].to_pylist() == [n for _, _, n in sorted(cells)]
    assert found.schema.names == ["k", "s", "n"]
    with pytest.raises(DataError, match="'kk'"):
        engine.sort(rows.to_reader(), ["kk"])


def test_streams_can_be_chained_and_dropped(engine: DuckdbEngine, tmp_path: Path) -> None:
    rows = pa.table({"n": np.arange(400_000)[::-1]})
    chained = engine.sort(engine.evaluate(rows.to_reader(), {"m": "n % 1000", "n": "n"}), ["m", "n"])
    first = next(iter(chained))
    assert first["n"][:3].to_pylist() == [0, 1000, 2000]
    del chained, first
    engine.evaluate(rows.to_reader(), {"n": "n"})
    assert list((tmp_path / "spill").iterdir()) == []


def test_sort_within_its_memory_limit(tables: DeltaTables, tmp_path: Path) -> None:
    engine = DuckdbEngine(tables, directory=tmp_path / "spill", memory_limit="100MB", threads=2)
    schema = pa.schema([("k", pa.int64()), ("v", pa.float64()), ("w", pa.float64())])

    def batches() -> Iterator[pa.RecordBatch]:
        random = np.random.default_rng(3)
        for _ in range(80):
            k = random.integers(0, 1 << 60, 100_000)
            yield pa.record_batch([k, k / 2, k / 3], schema=schema)

    last, count, total = -1, 0, 0
    for batch in engine.sort(pa.RecordBatchReader.from_batches(schema, batches()), ["k"]):
        k = batch["k"].to_numpy()
        assert k[0] >= last and (np.diff(k) >= 0).all()
        last, count, total = int(k[-1]), count + len(k), total + int((k >> 40).sum())
    assert count == 8_000_000
    assert total == sum(int((np.asarray(batch["k"]) >> 40).sum()) for batch in batches())
    assert list((tmp_path / "spill").iterdir()) == []


def test_describe(engine: DuckdbEngine) -> None:
    moment = datetime(2024, 2, 29, tzinfo=UTC)
    rows = pa.table(
        {
            "x": pa.array([1.0, 2.0, 4.0, None, math.nan, math.inf, 9.0]),
            "n": pa.array([1, 2, 3, None, 4, 5, 6]),
            "s": pa.array(["b", "a", "b", None, "a", "c", ""]).dictionary_encode(),
            "b": pa.array([True, False, True, None, None, True, True]),
            "d": pa.array([date(2024, 2, 29)] * 3 + [None] * 4),
            "t": pa.array([moment, None, moment, None, None, None, None], pa.timestamp("us", tz="UTC")),
        }
    )
    found = engine.describe(rows.to_reader(2))
    assert {name: (column["count"], column["nulls"]) for name, column in found.items()} == {
        "x": (7, 2), "n": (7, 1), "s": (7, 1), "b": (7, 2), "d": (7, 4), "t": (7, 5),
    }  # fmt: skip
    assert found["x"]["mean"] == 4.0
    assert (found["x"]["min"], found["x"]["max"]) == (1.0, 9.0)
    assert found["x"]["std"] == pytest.approx(np.std([1, 2, 4, 9], ddof=1))
    assert found["x"]["quantiles"] == pytest.approx(np.quantile([1, 2, 4, 9], np.arange(21) / 20))
    assert (found["n"]["min"], found["n"]["max"], found["n"]["mean"]) == (1, 6, 3.5)
    assert found["s"]["top"] == [["a", 2], ["b", 2], ["", 1], ["c", 1]]
    assert found["s"]["distinct"] == 4
    assert found["b"] == {"count": 7, "nulls": 2, "distinct": 2, "top": [[True, 4], [False, 1]]}
    assert found["d"]["top"] == [["2024-02-29", 3]]
    assert found["t"]["min"] == "2024-02-29T00:00:00Z"


def test_describe_of_no_rows(engine: DuckdbEngine) -> None:
    rows = pa.table({"x": pa.array([], pa.float64()), "s": pa.array([], pa.string())})
    found = engine.describe(rows.to_reader())
    assert found["x"] == {
        "count": 0,
        "nulls": 0,
        "mean": None,
        "std": None,
        "min": None,
        "max": None,
        "quantiles": None,
    }
    assert found["s"] == {"count": 0, "nulls": 0, "distinct": 0, "top": []}
