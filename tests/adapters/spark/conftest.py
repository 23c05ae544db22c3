"""One local Spark for the tests of its adapter, over the orders that DuckDB's are asked about too."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from inseam.adapters.delta.tables import DeltaTables
from inseam.adapters.duckdb.engine import DuckdbEngine
from inseam.kernel.types import Schema
from inseam.testing.spark import missing

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

if TYPE_CHECKING:
    from inseam.adapters.spark.engine import SparkEngine


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker(pytest.mark.slow)
    item.add_marker(pytest.mark.timeout(600))
    if missing():
        item.add_marker(pytest.mark.skip(reason=missing()))


@pytest.fixture(scope="package", autouse=True)
def _one_session() -> Iterator[None]:
    yield
    if not missing():
        from inseam.adapters.spark.session import close

        close()


def day(number: int) -> datetime:
    return datetime(2024, 1, number, tzinfo=UTC)


@pytest.fixture
def tables(tmp_path: Path) -> DeltaTables:
    return DeltaTables(tmp_path / "tables")


@pytest.fixture
def engine(tables: DeltaTables, tmp_path: Path) -> SparkEngine:
    from inseam.adapters.spark.engine import SparkEngine

    page = {
        # Less than most tests have rows: none of them may pass through Spark's driver.
        "spark.driver.maxResultSize": "512k",
        "spark.ui.enabled": "true",
        "spark.ui.port": "0",
    }
    place = tmp_path / "staging"
    return SparkEngine(tables, directory=place, memory_limit="1GB", url="local[2]", threads=4, conf=page)


@pytest.fixture
def duckdb(tables: DeltaTables, tmp_path: Path) -> DuckdbEngine:
    return DuckdbEngine(tables, directory=tmp_path / "spill", memory_limit="1GB")


@pytest.fixture
def orders(tables: DeltaTables) -> DeltaTables:
    """Four orders in ``sources/orders``, the second load written before the first one's rows in time."""
    rows = [
        (1, day(2), 10.0, "north", None, 2),
        (2, day(3), None, "south", None, 3),
        (1, day(1), 5.5, None, None, 1),
        (None, day(4), 1.0, "north", None, 4),
    ]
    arrow = ORDERS.to_arrow()
    columns = list(zip(*rows, strict=True))
    table = pa.table([pa.array(c, f.type) for c, f in zip(columns, arrow, strict=True)], schema=arrow)
    tables.append("sources/orders", table.slice(0, 2).to_reader())
    tables.append("sources/orders", table.slice(2).to_reader())
    return tables
