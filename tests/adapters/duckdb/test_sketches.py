"""Approximations beyond what they keep: the sweep, the general path and the oracle give the same estimate."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from inseam.adapters.delta.tables import DeltaTables
from inseam.adapters.duckdb.engine import DuckdbEngine
from inseam.ir.aggregates import AggregateKind, AggregateSpec
from inseam.ir.relation import Relation
from inseam.ir.windows import EVENT_TIME, WindowedAggregate
from inseam.kernel.clock import HOUR, Step
from inseam.kernel.types import DataType, Schema
from inseam.testing.contracts.engine import assert_same, stored, told
from inseam.testing.worlds import SCHEMA, World

ROWS = 4_000


@pytest.mark.parametrize("path", ["auto", "general"])
def test_estimates(path: str, tmp_path: Path) -> None:
    blank = dict.fromkeys(SCHEMA.names)
    rows = tuple(
        blank
        | {"customer": 1, "ts": n * HOUR, "at": n * HOUR, "pieces": n * n, "colour": f"c{n % 3000}", "amount": n**1.5}
        | {"known": None if n % 7 else n * HOUR + 5 * HOUR, "seq": n}
        for n in range(ROWS)
    )
    world = World(rows, tuple(blank | {"customer": 1, "t": n * HOUR} for n in (0, 900, 1_500, ROWS)))
    approx = AggregateKind.APPROX_DISTINCT
    specs = (
        AggregateSpec("pieces", approx, DataType.INT64, "pieces"),
        AggregateSpec("colours", approx, DataType.INT64, "colour", over=2_500 * HOUR),
        AggregateSpec("few", approx, DataType.INT64, "colour", over=100 * HOUR, where="pieces > 1"),
        AggregateSpec("q", AggregateKind.APPROX_QUANTILE, DataType.FLOAT64, "amount", quantile=0.9),
    )
    view = WindowedAggregate("v", Relation("sources/rows", "at", SCHEMA), ("customer",), Step(HOUR), 0, specs)
    tables = DeltaTables(tmp_path / "tables")
    stored(tables, world, "sources/rows")
    engine = DuckdbEngine(tables, directory=tmp_path / "spill")
    engine._path = path
    found = engine.features(world.spine(view.keys).to_reader(), [view]).reader().read_all()
    expected = told(view, world)
    assert expected["pieces"][-1] not in (ROWS, expected["pieces"][1])
    for name, values in expected.items():
        assert_same(found[name].to_pylist(), values, name)


@pytest.mark.parametrize("path", ["auto", "general"])
def test_columns_of_any_name(path: str, tmp_path: Path) -> None:
    tables = DeltaTables(tmp_path / "tables")
    name = "Net \"€\" 'x'"
    at = pa.array([1, 2, 3], pa.timestamp("us", tz="UTC"))
    rows = pa.table({"who": [1, 1, 1], "at": at, name: [1.0, 2.0, 2.0]})
    tables.append("sources/rows", rows.to_reader())
    specs = (
        AggregateSpec("d", AggregateKind.APPROX_DISTINCT, DataType.INT64, name),
        AggregateSpec("q", AggregateKind.APPROX_QUANTILE, DataType.FLOAT64, name, quantile=0.0),
        AggregateSpec("l", AggregateKind.LAST_N, DataType.FLOAT64, name, rank=3),
    )
    view = WindowedAggregate(
        "v", Relation("sources/rows", "at", Schema.from_arrow(rows.schema)), ("who",), Step(0), 0, specs
    )
    engine = DuckdbEngine(tables, directory=tmp_path / "spill")
    engine._path = path
    spine = pa.table({"who": [1], EVENT_TIME: pa.array([4], pa.timestamp("us", tz="UTC"))})
    (found,) = engine.features(spine.to_reader(), [view]).reader().read_all().to_pylist()
    assert (found["d"], found["q"], found["l"]) == (2, 1.0, 1.0)
