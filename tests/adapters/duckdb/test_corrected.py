"""Rows that supersede others: the sweep where it may, the general path for boundaries before a correction."""

from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from inseam.adapters.delta.tables import DeltaTables
from inseam.adapters.duckdb.engine import DuckdbEngine
from inseam.ir.aggregates import AggregateKind, AggregateSpec
from inseam.ir.relation import Relation, Upserts
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.clock import DAY, Step
from inseam.kernel.errors import DefinitionError
from inseam.kernel.types import DataType, Schema

ROWS = Schema.of(
    [
        ("id", "int64"), ("customer", "int64"), ("at", "timestamp"), ("amount", "float64"), ("gone", "bool"),
        ("_ingested_at", "timestamp"), ("_seq", "int64"),
    ]
)  # fmt: skip
VIEW = WindowedAggregate(
    "spend",
    Relation("sources/orders", "at", Schema(()), upserts=Upserts(("id",), "at", "gone")),
    ("customer",),
    Step(0),
    0,
    (AggregateSpec("total", AggregateKind.SUM, DataType.FLOAT64, "amount"),),
)


def day(number: int) -> datetime:
    return datetime(2024, 1, number, tzinfo=UTC)


@pytest.fixture
def corrected(tables: DeltaTables, engine: DuckdbEngine) -> DuckdbEngine:
    """Order 1 moves from customer 1 to 2 on the 5th, order 2 is deleted on the 7th, customer 3's stays."""
    rows = [
        (1, 1, day(1), 10.0, None, None, 1),
        (2, 2, day(2), 20.0, None, None, 2),
        (3, 3, day(2), 0.1, False, None, 3),
        (4, 3, day(3), 0.2, False, None, 4),
        (1, 2, day(1), 11.0, False, day(5), 5),
        (2, 2, day(2), 20.0, True, day(7), 6),
    ]
    arrow = ROWS.to_arrow()
    columns = [pa.array(c, f.type) for c, f in zip(zip(*rows, strict=True), arrow, strict=True)]
    tables.append("sources/orders", pa.table(columns, schema=arrow).to_reader())
    return engine


def totals(engine: DuckdbEngine, view: WindowedAggregate, at: datetime) -> list[float | None]:
    spine = pa.table({"customer": [1, 2, 3, None], "event_time": pa.array([at] * 4, pa.timestamp("us", tz="UTC"))})
    found: list[float | None] = engine.features(spine.to_reader(), [view]).reader().read_all()["total"].to_pylist()
    return found


@pytest.mark.parametrize("path", ["auto", "general"])
def test_each_boundary_sees_what_was_known(corrected: DuckdbEngine, path: str) -> None:
    corrected._path = path
    kept = pytest.approx(0.3)
    assert totals(corrected, VIEW, day(4)) == [10.0, 20.0, kept, None]
    assert totals(corrected, VIEW, day(5)) == [None, 31.0, kept, None]
    assert totals(corrected, VIEW, day(7)) == [None, 11.0, kept, None]
    assert totals(corrected, replace(VIEW, lag=DAY), day(5)) == [None, 31.0, kept, None]
    assert totals(corrected, replace(VIEW, forward=30 * DAY), day(1)) == [None, 11.0, kept, None]


def test_keys_that_were_never_corrected_keep_their_bits(corrected: DuckdbEngine) -> None:
    plain = replace(VIEW, relation=VIEW.relation.as_stored())
    for at in (day(4), day(7)):
        assert totals(corrected, VIEW, at)[2] == totals(corrected, plain, at)[2]


@pytest.mark.parametrize(
    "upserts", [Upserts(("it",), "at"), Upserts(("id",), "at", "amount"), Upserts(("id",), "at", "x")]
)
def test_what_tells_rows_apart_is_checked_first(corrected: DuckdbEngine, upserts: Upserts) -> None:
    with pytest.raises(DefinitionError):
        totals(corrected, replace(VIEW, relation=replace(VIEW.relation, upserts=upserts)), day(4))
