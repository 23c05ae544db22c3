"""Row-wise expressions, repeated rows and statistics over streams."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from inseam.adapters.delta.tables import DeltaTables
from inseam.adapters.duckdb.engine import DuckdbEngine
from inseam.ir.relation import Relation
from inseam.kernel.errors import DataError, DefinitionError
from inseam.kernel.types import Schema


def test_evaluate_gives_exactly_the_named_columns_in_order(engine: DuckdbEngine) -> None:
    rows = pa.table({"n": np.arange(500_000), "s": pa.array(["a", None] * 250_000).dictionary_encode()})
    expressions = {"twice": "n * 2", "is_a": "s = 'a'", "both": "s || n"}
    found = engine.evaluate(rows.to_reader(10_000), expressions).reader().read_all()
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
        engine.evaluate(pa.table({"s": ["1", "abc"]}).to_reader(), {"x": "CAST(s AS BIGINT)"}).reader().read_all()


def test_an_error_of_the_stream_that_comes_in_goes_out_as_it_was(engine: DuckdbEngine) -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"n": [1]})
        raise DataError("orders", "the file ends in the middle of a row")

    rows = pa.RecordBatchReader.from_batches(pa.schema([("n", pa.int64())]), batches())
    with pytest.raises(DataError, match="middle of a row"):
        engine.evaluate(rows, {"x": "n"}).reader().read_all()


def repeats(keys: list[Any], held: set[Any]) -> list[int]:
    seen: set[Any] = set()
    found = []
    for row, key in enumerate(keys):
        if None not in key and (key in seen or key in held):
            found.append(row)
        seen.add(key)
    return found


def test_rows_that_repeat_one_before_them_or_one_that_is_held(engine: DuckdbEngine, tables: DeltaTables) -> None:
    random = np.random.default_rng(1)

    def drawn(count: int) -> pa.Table:
        k = random.integers(0, 400, count)
        return pa.table(
            {
                "at": pa.array([datetime(2024, 1, 1, tzinfo=UTC)] * count, pa.timestamp("us", tz="UTC")),
                "k": pa.array(k, mask=k == 7),
                "s": pa.array(random.integers(0, 400, count)).cast(pa.string()),
            }
        )

    held, rows = drawn(90_000), drawn(50_000)
    for part in (held.slice(0, 60_000), held.slice(60_000)):
        tables.append("sources/t", part.to_reader())
    relation = Relation("sources/t", "at", Schema.from_arrow(held.schema))
    for by in (["k"], ["s", "k"]):
        keys, known = (list(zip(*(table[name].to_pylist() for name in by), strict=True)) for table in (rows, held))
        found = engine.repeated(rows.to_reader(7_000), by, relation).reader().read_all()
        assert found.schema == pa.schema([("row", pa.int64())])
        assert found["row"].to_pylist() == repeats(keys, set(known))
        assert engine.repeated(rows.to_reader(), by).reader().read_all()["row"].to_pylist() == repeats(keys, set())
    with pytest.raises(DataError, match="'kk'"):
        engine.repeated(rows.to_reader(), ["kk"])


def test_streams_can_be_chained_and_dropped(engine: DuckdbEngine, tmp_path: Path) -> None:
    rows = pa.table({"n": np.arange(400_000)})
    chained = engine.repeated(engine.evaluate(rows.to_reader(), {"m": "n % 100000"}).reader(), ["m"]).reader()
    first = next(iter(chained))
    assert first["row"][:2].to_pylist() == [100_000, 100_001]
    del chained, first
    engine.evaluate(rows.to_reader(), {"n": "n"})
    assert list((tmp_path / "spill").iterdir()) == []


def test_repeated_within_its_memory_limit(tables: DeltaTables, tmp_path: Path) -> None:
    engine = DuckdbEngine(tables, directory=tmp_path / "spill", memory_limit="100MB", threads=2)
    schema = pa.schema([("k", pa.int64()), ("w", pa.string())])

    def batches() -> Iterator[pa.RecordBatch]:
        for part in range(40):
            k = np.arange(part * 100_000, (part + 1) * 100_000) % 3_900_000
            yield pa.record_batch([k, pa.array(k).cast(pa.string())], schema=schema)

    found = engine.repeated(pa.RecordBatchReader.from_batches(schema, batches()), ["k", "w"]).reader().read_all()
    assert found["row"].to_pylist() == list(range(3_900_000, 4_000_000))
    assert list((tmp_path / "spill").iterdir()) == []
