"""An engine over Delta tables, and a few orders to ask it about."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from inseam.adapters.delta.tables import DeltaTables
from inseam.adapters.duckdb.engine import DuckdbEngine
from inseam.kernel.types import Schema

ORDERS = Schema.of(
    [
        ("customer", "int64"),
        ("at", "timestamp"),
        ("amount", "float64"),
        ("store", "string"),
        ("_ingested_at", "timestamp"),
        ("_seq", "int64"),
    ]
)


def day(number: int) -> datetime:
    return datetime(2024, 1, number, tzinfo=UTC)


@pytest.fixture
def tables(tmp_path: Path) -> DeltaTables:
    return DeltaTables(tmp_path / "tables")


@pytest.fixture
def engine(tables: DeltaTables, tmp_path: Path) -> DuckdbEngine:
    return DuckdbEngine(tables, directory=tmp_path / "spill", memory_limit="1GB", threads=2)


@pytest.fixture
def orders(tables: DeltaTables) -> DeltaTables:
    """Four orders in ``sources/orders``, the second load written before the first one's rows in time."""
    rows = [
        (1, day(2), 10.0, "north", None, 2),
        (2, day(3), None, "south", None, 3),
        (1, day(1), 5.5, None, None, 1),
        (None, day(4), 1.0, "north", None, 4),
    ]
    columns = list(zip(*rows, strict=True))
    arrow = ORDERS.to_arrow()
    table = pa.table([pa.array(c, f.type) for c, f in zip(columns, arrow, strict=True)], schema=arrow)
    tables.append("sources/orders", table.slice(0, 2).to_reader())
    tables.append("sources/orders", table.slice(2).to_reader())
    return tables
