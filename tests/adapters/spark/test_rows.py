"""Rows that stay on Spark, and what the engine makes of the driver's streams."""

import math
import os
from collections.abc import Iterator
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from inseam.adapters.delta.tables import DeltaTables
from inseam.adapters.duckdb.engine import DuckdbEngine
from inseam.adapters.spark.engine import SparkEngine
from inseam.ir.relation import Relation
from inseam.kernel.errors import DataError, DefinitionError
from inseam.kernel.types import Schema
from inseam.ports.rows import Batches

# More rows than a block has, so that what comes back is in several partitions.
COUNT = 300_000


def doubled(batches: Batches) -> Batches:
    for batch in batches:
        yield pa.record_batch([pc.multiply(batch.column("n"), 2)], names=["twice"])


def refusing(batches: Batches) -> Batches:
    for _ in batches:
        raise DefinitionError("model:lapse", "the model wants another matrix", mend="train it again")
        yield


def failing(batches: Batches) -> Batches:
    for _ in batches:
        raise ZeroDivisionError("by nothing")
        yield


def numbered() -> pa.Table:
    random = np.random.default_rng(1)
    return pa.table({"k": random.integers(0, 50, COUNT), "n": np.arange(COUNT)})


def written(folder: Path, part: int, batches: Batches) -> tuple[int, str]:
    path = folder / f"{part}-{os.getpid()}.parquet"
    pq.write_table(pa.Table.from_batches(batches), path)
    return part, str(path)


def test_workers_map_and_consume_rows_in_their_order(engine: SparkEngine, tmp_path: Path) -> None:
    rows = engine.evaluate(numbered().to_reader(7_000), {"n": "n + k"})
    mapped = rows.map(doubled, pa.schema([("twice", pa.int64())]))
    parts = mapped.consume(partial(written, tmp_path))
    table = numbered()
    expected = 2 * (table["n"].to_numpy() + table["k"].to_numpy())
    assert np.array_equal(pa.concat_tables([pq.read_table(path) for _, path in parts])["twice"].to_numpy(), expected)
    assert np.array_equal(mapped.reader().read_all()["twice"].to_numpy(), expected)
    assert [part for part, _ in parts] == list(range(len(parts))) and len(parts) > 1
    assert not any(path.endswith(f"-{os.getpid()}.parquet") for _, path in parts)


def test_what_a_worker_refuses_is_told_whole_and_what_breaks_in_a_line(engine: SparkEngine) -> None:
    rows = engine.evaluate(numbered().slice(0, 10).to_reader(), {"n": "n"})
    with pytest.raises(DefinitionError) as refused:
        rows.map(refusing, rows.schema).reader().read_all()
    (problem,) = refused.value.problems
    assert (problem.subject, problem.mend) == ("model:lapse", "train it again")
    with pytest.raises(DataError) as broken:
        rows.map(failing, rows.schema).reader().read_all()
    (problem,) = broken.value.problems
    assert "by nothing" in problem.found
    assert "\n" not in problem.found and "java" not in problem.found and "Traceback" not in problem.found


def test_evaluate_gives_exactly_the_named_columns_in_order(engine: SparkEngine) -> None:
    rows = pa.table({"n": np.arange(COUNT), "s": pa.array(["a", None] * (COUNT // 2)).dictionary_encode()})
    texts = {"twice": "n * 2", "is_a": "s = 'a'", "both": "s || n", "half": "n / 2", "part": "n // 7"}
    found = engine.evaluate(rows.to_reader(10_000), texts).reader().read_all()
    assert found.schema.names == list(texts)
    assert found.schema.types == [pa.int64(), pa.bool_(), pa.string(), pa.float64(), pa.int64()]
    assert np.array_equal(found["twice"].to_numpy(), np.arange(COUNT) * 2)
    assert found["both"][2].as_py() == "a2"
    assert found["half"][3].as_py() == 1.5


def test_expressions_mean_what_they_mean_on_duckdb(engine: SparkEngine, duckdb: DuckdbEngine) -> None:
    rows = pa.table(
        {
            "n": pa.array([1, -7, None, 2**53 + 1, 0]),
            "x": pa.array([0.5, -2.5, math.nan, math.inf, None]),
            "s": pa.array(["Ä b", "", None, "a,b", "ab"]),
            "t": pa.array([datetime(2024, 2, 29, 23, 30, tzinfo=UTC), None] * 2 + [datetime(1970, 1, 1, tzinfo=UTC)]),
            "d": pa.array([date(2024, 2, 29), None, date(1969, 12, 31), None, date(1, 1, 1)]),
        }
    )
    # Each of these means something else to Spark, or nothing at all.
    texts = {
        "division": "n / 0",
        "modulo": "n % 4",
        "nan": "x > 1e300",
        "week": "date_trunc('week', t)",
        "parts": "len(string_split(s, ','))",
        "match": "regexp_matches(s, '^a.?b$')",
        "day": "dayofweek(d)",
        "later": "t + INTERVAL 1 MONTH",
        "text": "strftime(t, '%d.%m.%Y')",
        "rounded": "CASE WHEN isfinite(x) THEN CAST(x AS BIGINT) END",
        "greatest": "greatest(x, n)",
        "power": "n ^ 2 > 10",
        "slice": "s[1]",
        "like": "s ILIKE 'ä%'",
    }
    found, expected = (by.evaluate(rows.to_reader(), texts).reader().read_all() for by in (engine, duckdb))
    assert found.schema == expected.schema
    # As text, in which NaN is NaN.
    assert str(found.to_pydict()) == str(expected.to_pydict())


@pytest.mark.parametrize("text", ["sum(n)", "m + 1", "random()", "n; n", "[n]"])
def test_evaluate_refuses_what_is_no_row_wise_expression(engine: SparkEngine, text: str) -> None:
    with pytest.raises(DefinitionError) as raised:
        engine.evaluate(pa.table({"n": [1]}).to_reader(), {"x": text})
    assert raised.value.problems[0].subject == "x"


def test_a_row_that_fails_is_a_data_error(engine: SparkEngine) -> None:
    with pytest.raises(DataError, match="abc"):
        engine.evaluate(pa.table({"s": ["1", "abc"]}).to_reader(), {"x": "CAST(s AS BIGINT)"}).reader().read_all()


def test_an_error_of_the_stream_that_comes_in_goes_out_as_it_was(engine: SparkEngine) -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"n": [1]})
        raise DataError("orders", "the file ends in the middle of a row")

    rows = pa.RecordBatchReader.from_batches(pa.schema([("n", pa.int64())]), batches())
    with pytest.raises(DataError, match="middle of a row"):
        engine.evaluate(rows, {"x": "n"}).reader().read_all()


def test_rows_that_repeat_are_those_of_duckdb(
    engine: SparkEngine, duckdb: DuckdbEngine, tables: DeltaTables, tmp_path: Path
) -> None:
    random = np.random.default_rng(4)
    k, n = random.integers(0, 400, COUNT), random.integers(0, 900, COUNT)
    s = pa.array(k % 7, mask=random.random(COUNT) < 0.1).cast(pa.string())
    rows = pa.table(
        {"k": pa.array(k, mask=k == 7), "n": n, "s": s, "at": pa.array(n).cast(pa.timestamp("us", tz="UTC"))}
    )
    tables.append("held", rows.slice(0, 500).to_reader())
    held = Relation("held", "at", Schema(()))
    for by, relation in ((["k", "n", "s"], None), (["k", "n", "s"], held), (["at", "s"], held)):
        found = engine.repeated(rows.to_reader(7_000), by, relation).reader().read_all()
        assert found == duckdb.repeated(rows.to_reader(), by, relation).reader().read_all()
        assert 0 < found.num_rows < COUNT
    with pytest.raises(DataError, match="'kk'"):
        engine.repeated(rows.to_reader(), ["kk"])
    del found
    assert list((tmp_path / "staging").glob("spark-*")) == []


def test_describe_is_that_of_duckdb_to_the_bit(engine: SparkEngine, duckdb: DuckdbEngine) -> None:
    random = np.random.default_rng(2)
    moments = pa.array(random.integers(0, 10**15, COUNT)).cast(pa.timestamp("us", tz="UTC"))
    rows = pa.table(
        {
            "x": pa.array(random.normal(0, 1e6, COUNT), mask=random.random(COUNT) < 0.1),
            "odd": pa.array([1.0, math.nan, math.inf, None, -0.0] * (COUNT // 5)),
            "n": random.integers(-9, 9, COUNT),
            "s": pa.array(random.integers(0, 99, COUNT)).cast(pa.string()),
            "b": pa.array([True, False, None] * (COUNT // 3)),
            "d": pa.array([date(2024, 2, 29), None] * (COUNT // 2)),
            "t": moments,
        }
    )
    assert engine.describe(rows.to_reader(50_000)) == duckdb.describe(rows.to_reader(50_000))


def test_describe_of_no_rows(engine: SparkEngine, duckdb: DuckdbEngine) -> None:
    rows = pa.table({"x": pa.array([], pa.float64()), "s": pa.array([], pa.string())})
    assert engine.describe(rows.to_reader()) == duckdb.describe(rows.to_reader())
