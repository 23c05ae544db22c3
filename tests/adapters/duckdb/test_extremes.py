"""The sweep against the general path in years 1 and 9999, with windows of 1 us and of 100 years."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from inseam.adapters.delta.tables import DeltaTables
from inseam.adapters.duckdb.engine import DuckdbEngine
from inseam.ir.aggregates import AggregateKind, AggregateSpec, result_type
from inseam.ir.relation import Relation
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.clock import DAY, Step
from inseam.kernel.types import DataType, Schema

COLUMNS = Schema.of(
    [
        *(("customer", "int64"), ("store", "string"), ("at", "timestamp"), ("amount", "float64"), ("pieces", "int64")),
        *(("_ingested_at", "timestamp"), ("_seq", "int64")),
    ]
)
ENDS = (datetime(1, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 29, tzinfo=UTC))
MOMENTS = [end + timedelta(microseconds=by) for end in ENDS for by in (0, 1, 2)]
MOMENTS += [ENDS[0] + timedelta(days=36_525), ENDS[-1] - timedelta(days=36_525), ENDS[-1] + timedelta(days=1)]
CENTURY = 36_525 * DAY
KINDS = ("count", "sum", "mean", "min", "max", "std", "first", "last", "distinct", "quantile")
ROUNDED = ("sum", "mean", "std")
numbers = itertools.count()

moments = st.sampled_from(MOMENTS)
keys = st.tuples(st.sampled_from([None, 1, 2**63 - 1]), st.sampled_from([None, "", "a"]))
cells = st.tuples(st.none() | st.sampled_from([0.1, -0.5, 1e300]), st.none() | st.sampled_from([1, -3, 2**53 + 1]))
events = st.lists(st.tuples(keys, moments, cells, st.none() | moments), max_size=30)
reads = st.lists(st.tuples(keys, moments), min_size=1, max_size=10)


@st.composite
def views(draw: st.DrawFn) -> WindowedAggregate:
    over = draw(st.sampled_from([None, 1, CENTURY]))
    types = {"amount": DataType.FLOAT64, "pieces": DataType.INT64}
    specs = [
        AggregateSpec(
            f"{kind}_{column}",
            AggregateKind(kind),
            result_type(AggregateKind(kind), types[column]),
            column,
            over,
            quantile=0.5 if kind == "quantile" else None,
        )
        for kind in draw(st.lists(st.sampled_from(KINDS), min_size=2, max_size=2, unique=True))
        for column in types
    ]
    step = draw(st.sampled_from([Step(0), Step(1), Step(DAY), Step(DAY, "America/New_York"), Step(CENTURY)]))
    relation = Relation(f"sources/rows_{next(numbers)}", "at", COLUMNS)
    lag = draw(st.sampled_from([0, 1, DAY]))
    return WindowedAggregate("spend", relation, ("customer", "store"), step, lag, tuple(specs))


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> DuckdbEngine:
    root: Path = tmp_path_factory.mktemp("extremes")
    return DuckdbEngine(DeltaTables(root / "tables"), directory=root / "spill", memory_limit="512MB", threads=1)


@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck), phases=(Phase.reuse, Phase.generate))
@given(views(), events, reads)
def test_both_paths_give_one_value(engine: DuckdbEngine, view: WindowedAggregate, rows: Any, asked: Any) -> None:
    stored = [(*key, at, *cell, known, number) for number, (key, at, cell, known) in enumerate(rows)]
    arrow = COLUMNS.to_arrow()
    columns = list(zip(*stored, strict=True)) or [[]] * len(arrow)
    table = pa.table([pa.array(column, f.type) for column, f in zip(columns, arrow, strict=True)], schema=arrow)
    engine._tables.append(view.relation.table, table.to_reader())
    spine = pa.table(
        {
            "customer": pa.array([key[0] for key, _ in asked], pa.int64()),
            "store": pa.array([key[1] for key, _ in asked], pa.string()),
            "event_time": pa.array([at for _, at in asked], arrow.field("at").type),
        }
    )
    found: dict[str, dict[str, list[Any]]] = {}
    for engine._path in ("auto", "general"):
        found[engine._path] = engine.features(spine.to_reader(), [view]).reader().read_all().to_pydict()
    for name, values in found["auto"].items():
        expected = found["general"][name]
        if name.startswith(ROUNDED):
            assert values == [value if value is None else pytest.approx(value, rel=1e-9) for value in expected], name
        else:
            assert values == expected, name
