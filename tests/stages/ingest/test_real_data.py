"""Real files as they came; skipped where they are not."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from inseam.kernel.types import Schema
from inseam.stages.ingest.cells import Cells
from inseam.stages.ingest.csv_file import read_csv
from inseam.stages.ingest.finding import Findings
from inseam.stages.ingest.location import examine
from inseam.stages.ingest.notation import Notation
from inseam.stages.ingest.types import seen


def blocks(place: Any, path: Path) -> list[Cells]:
    spec = place.spec()
    return list(read_csv(examine(path, spec), spec, lambda _: None))


def inferred(found: list[Cells]) -> Schema:
    return seen(found, "-", Notation()).schema(Findings())


def test_online_retail_from_its_daily_files(place: Any, real_data: Path) -> None:
    days = real_data / "online_retail" / "by_day"
    load = place.ingest(place.spec(timestamp="InvoiceDate", location=str(days)))
    assert (load.rows_in, load.rows_accepted, load.rows_quarantined) == (541_909, 541_909, 0)
    assert load.findings == {}
    snapshot = place.tables.snapshot("sources/s")
    types = {field.name: field.type.value for field in snapshot.schema}
    assert types == {
        "InvoiceNo": "string",
        "StockCode": "string",
        "Description": "string",
        "Quantity": "int64",
        "InvoiceDate": "timestamp",
        "UnitPrice": "float64",
        "CustomerID": "float64",
        "Country": "string",
        "_ingested_at": "timestamp",
        "_seq": "int64",
    }
    assert (snapshot.null_counts["CustomerID"], snapshot.null_counts["Description"]) == (135_080, 1_454)
    ours = pq.read_table(list(snapshot.files), columns=["Quantity", "UnitPrice", "InvoiceDate"])
    theirs = pq.read_table(real_data / "online_retail" / "online_retail.parquet")
    assert pc.sum(ours["Quantity"]) == pc.sum(theirs["Quantity"])
    assert round(pc.sum(ours["UnitPrice"]).as_py(), 2) == round(pc.sum(theirs["UnitPrice"]).as_py(), 2)
    assert pc.min(ours["InvoiceDate"]).as_py() == datetime(2010, 12, 1, 8, 26, tzinfo=UTC)
    assert place.ingest(place.spec(timestamp="InvoiceDate", location=str(days))) is None


def test_customers_written_as_floats_are_read_as_integers(place: Any, real_data: Path) -> None:
    day = real_data / "online_retail" / "by_day" / "2010-12-01.csv"
    columns = "InvoiceNo:string InvoiceDate:timestamp CustomerID:int64 Quantity:int64"
    load = place.ingest(place.spec(timestamp="InvoiceDate", location=str(day), columns=columns))
    assert load.rows_quarantined == 0
    assert place.column("CustomerID")[0] == 17850
    assert {name.rsplit(": ", 1)[1] for name in load.findings["columns.extra"]["examples"]} == {
        "StockCode",
        "Description",
        "UnitPrice",
        "Country",
    }


def test_fashion_styles_has_22_ragged_rows(place: Any, real_data: Path) -> None:
    path = real_data / "fashion_styles" / "styles.csv"
    load = place.ingest(place.spec(timestamp="year", location=str(path), timestamp_formats=("%Y", "%Y.0")))
    ragged = [row for row in place.quarantine() if "cells where the header has" in row["reason"]]
    assert load.rows_in == 44_446
    assert len(ragged) == 22
    lines = path.read_text(encoding="utf-8").split("\n")
    assert all(lines[row["line"] - 1] == row["raw"] for row in ragged)
    assert {row["reason"] for row in place.quarantine()} - {row["reason"] for row in ragged} <= {
        "year: it is empty, and it is the source's timestamp"
    }


def test_reviews_with_newlines_in_quotes_and_mixed_line_ends(place: Any, real_data: Path) -> None:
    path = real_data / "womens_clothing_reviews" / "reviews.csv"
    found = blocks(place, path)
    assert sum(block.rows for block in found) == 23_486
    assert [reject for block in found for reject in block.rejects] == []
    assert sum(block.columns["Review Text"].null_count for block in found) == 845
    with path.open(encoding="utf-8", newline="") as file:
        lines = file.readlines()
    for block in found:
        for line, number in zip(block.lines.to_pylist(), block.columns["column_1"].to_pylist(), strict=True):
            assert lines[line - 1].startswith(f"{number},")


def test_bank_marketing_is_sniffed(place: Any, real_data: Path) -> None:
    found = blocks(place, real_data / "bank_marketing" / "bank-full.csv")
    assert sum(block.rows for block in found) == 45_211
    assert inferred(found).type_of("balance") == "int64"
    assert inferred(found).type_of("y") == "string"


def test_blank_charges_are_null(place: Any, real_data: Path) -> None:
    found = blocks(place, real_data / "telco_churn" / "Telco-Customer-Churn.csv")
    assert inferred(found).type_of("TotalCharges") == "float64"
    assert sum(block.rows for block in found) == 7_043
