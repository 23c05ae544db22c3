"""The half million real order lines of Online Retail: Spark's answers are DuckDB's."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from inseam.adapters.delta.tables import DeltaTables
from inseam.adapters.duckdb.engine import DuckdbEngine
from inseam.adapters.spark.engine import SparkEngine
from inseam.ir.aggregates import AggregateKind, AggregateSpec, result_type
from inseam.ir.relation import Relation, SqlTransform
from inseam.ir.spine import SnapshotsSpine
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.clock import DAY, Step
from inseam.kernel.types import DataType, Schema

ROOT = Path(__file__).parents[3]
LINES = Schema.of(
    [
        ("invoice", "string"),
        ("stock", "string"),
        ("quantity", "int64"),
        ("at", "timestamp"),
        ("price", "float64"),
        ("customer", "int64"),
        ("country", "string"),
        ("_seq", "int64"),
    ]
)
OF_FILE = ("InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
WORTH = SqlTransform("SELECT *, quantity * price AS worth FROM lines WHERE country <> 'Unspecified'")


@pytest.fixture
def lines(tables: DeltaTables) -> DeltaTables:
    places = [os.environ.get("INSEAM_DATA"), str(ROOT.parent / "shared" / "data")]
    files = [Path(place) / "online_retail" / "online_retail.parquet" for place in places if place]
    found = next((file for file in files if file.is_file()), None)
    if found is None:
        pytest.skip("the Online Retail data is not here: set INSEAM_DATA to the folder with online_retail")
    table = pq.read_table(found, columns=list(OF_FILE))
    columns = [table.column(name) for name in OF_FILE]
    columns[3] = pc.cast(columns[3], pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC"))
    columns.append(pa.array(range(table.num_rows)))
    arrow = LINES.to_arrow()
    cast = [column.cast(field.type) for column, field in zip(columns, arrow, strict=True)]
    tables.append("sources/lines", pa.table(cast, schema=arrow).to_reader())
    return tables


def view(name: str, keys: tuple[str, ...], *asked: tuple[str, str, int | None]) -> WindowedAggregate:
    types = {field.name: field.type for field in LINES} | {"worth": DataType.FLOAT64}
    specs = tuple(
        AggregateSpec(f"{name}_{kind}_{place}", kind, result_type(kind, types[column]), column, over, None, share)
        for place, (kind, column, over) in enumerate(
            (AggregateKind(kind), column, over) for kind, column, over in asked
        )
        for share in (0.5 if kind is AggregateKind.QUANTILE else None,)
    )
    return WindowedAggregate(name, Relation("sources/lines", "at", LINES, WORTH), keys, Step(DAY), 0, specs)


def test_a_training_set_of_real_orders(engine: SparkEngine, duckdb: DuckdbEngine, lines: DeltaTables) -> None:
    buying = view(
        "buying", ("customer",), ("sum", "worth", 30 * DAY), ("mean", "price", 90 * DAY), ("std", "worth", None),
        ("distinct", "stock", 90 * DAY), ("last", "country", None), ("quantile", "worth", 30 * DAY),
    )  # fmt: skip
    selling = view("selling", ("country",), ("count", "invoice", 7 * DAY), ("max", "worth", 7 * DAY))
    spine = SnapshotsSpine(buying.relation, ("customer", "country"), Step(7 * DAY), 90 * DAY)
    rows = engine.spine(spine).reader().read_all()
    assert rows == duckdb.spine(spine).reader().read_all()
    assert rows.num_rows > 50_000
    found = engine.features(rows.to_reader(), [buying, selling]).reader().read_all()
    assert found == duckdb.features(rows.to_reader(), [buying, selling]).reader().read_all()
    assert found["buying_sum_0"].null_count < found.num_rows
    scanned = engine.scan(buying.relation, columns=["worth", "stock"]).reader().read_all()
    assert scanned == duckdb.scan(buying.relation, columns=["worth", "stock"]).reader().read_all()
    assert engine.describe(scanned.to_reader()) == duckdb.describe(scanned.to_reader())
