"""Statistics of a stream: exact, whatever the batches and the numbers, in memory that doesn't grow with the rows."""

import math
import resource
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inseam.adapters.duckdb.describe import describe
from inseam.adapters.duckdb.engine import DuckdbEngine
from inseam.adapters.duckdb.numbers_file import QUANTILES, NumbersFile
from inseam.adapters.duckdb.session import Limits


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


numbers = st.one_of(
    st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 1e300, -1e300, math.inf, -math.inf]),
    st.integers(-3, 3).map(float),
    st.floats(allow_nan=False, min_value=-1e150, max_value=1e150),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(numbers, max_size=30), max_size=4))
def test_numbers_are_told_exactly(tmp_path_factory: pytest.TempPathFactory, batches: list[list[float]]) -> None:
    file = NumbersFile(tmp_path_factory.mktemp("numbers") / "x", "float64")
    for batch in batches:
        file.append(np.array(batch, np.float64))
    finite = sorted(x for batch in batches for x in batch if math.isfinite(x))
    found = file.statistics()
    if not finite:
        assert set(found.values()) == {None}
        return
    assert (found["min"], found["max"]) == (finite[0], finite[-1])
    places = [q * (len(finite) - 1) for q in QUANTILES]
    for quantile, place in zip(found["quantiles"], places, strict=True):
        low, share = finite[math.floor(place)], place - math.floor(place)
        high = finite[min(math.floor(place) + 1, len(finite) - 1)]
        assert quantile == low * (1 - share) + high * share
    assert found["mean"] == pytest.approx(
        math.fsum(finite) / len(finite), rel=1e-12, abs=abs(max(finite, key=abs)) * 1e-15
    )
    assert (found["std"] is None) == (len(finite) < 2)


@pytest.mark.parametrize("batch_rows", [1_000, 70_001])
def test_equal_rows_give_equal_bits_however_they_are_cut(engine: DuckdbEngine, batch_rows: int) -> None:
    random = np.random.default_rng(5)
    rows = pa.table({"x": random.normal(size=300_000), "n": random.integers(-9, 9, 300_000)})
    assert engine.describe(rows.to_reader(batch_rows)) == engine.describe(rows.to_reader())


def test_whole_numbers_keep_their_last_digit_and_infinities_take_no_part(engine: DuckdbEngine) -> None:
    found = engine.describe(pa.table({"n": [2**63 - 1, -(2**63)], "x": [math.inf, -math.inf]}).to_reader())
    assert (found["n"]["min"], found["n"]["max"]) == (-(2**63), 2**63 - 1)
    assert (found["x"]["nulls"], found["x"]["mean"], found["x"]["quantiles"]) == (0, None, None)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    peaks = [subprocess.check_output([sys.executable, __file__, str(tmp_path), str(n)], text=True) for n in (1, 50)]
    few, many = map(int, peaks)
    # 5M rows: 320 MB of numbers and 5M different texts.
    assert many < few + 100 + 120


def main(directory: str, batches: int) -> None:
    schema = pa.schema([*((f"x{column}", pa.float64()) for column in range(8)), ("s", pa.string())])

    def drawn() -> Iterator[pa.RecordBatch]:
        random = np.random.default_rng(1)
        for number in range(batches):
            texts = pa.array(np.arange(100_000) + number * 100_000).cast(pa.string())
            yield pa.record_batch([*(pa.array(random.normal(size=100_000)) for _ in range(8)), texts], schema=schema)

    describe(Limits(Path(directory), 100_000_000, 2), pa.RecordBatchReader.from_batches(schema, drawn()))
    sys.stdout.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
