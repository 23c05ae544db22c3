"""Large files on Spark: what workers load never comes to the driver, and what cannot be divided is told."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inseam.adapters.delta.tables import DeltaTables
from inseam.adapters.spark.engine import SparkEngine
from inseam.adapters.sql.ledger import SqlLedger
from inseam.ir.checks import CheckKind, CheckSpec, Severity, SourceSpec
from inseam.ir.records import LoadRecord
from inseam.kernel.errors import DataError
from inseam.kernel.types import Schema
from inseam.stages.ingest import portions
from inseam.stages.ingest.load import ingest

POSITIVE = CheckSpec("positive", CheckKind.EXPRESSION, Severity.ERROR, expression="x >= 0")
COUNT = 120_000


def loaded(spec: SourceSpec, engine: SparkEngine, tables: DeltaTables, place: Path) -> LoadRecord | None:
    ledger = SqlLedger(f"sqlite:///{place}/ledger.db")
    return ingest(spec, tables=tables, ledger=ledger, engine=engine, directory=place / "loads")


def test_no_row_of_a_large_file_passes_through_the_driver(
    engine: SparkEngine, tables: DeltaTables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portions, "PORTION_BYTES", 500_000)
    random = np.random.default_rng(3)
    x = random.normal(10, 1, COUNT)
    x[::1_000] = -1
    ids = np.arange(COUNT)
    ids[-5:] = ids[1:6]
    at = pa.array(ids).cast(pa.timestamp("us", tz="UTC"))
    pq.write_table(pa.table({"id": ids, "at": at, "x": x}), tmp_path / "rows.parquet", row_group_size=COUNT // 8)
    schema = Schema.of([("id", "int64"), ("at", "timestamp"), ("x", "float64")])
    spec = SourceSpec("s", "at", str(tmp_path / "rows.parquet"), schema=schema, key=("id",), checks=(POSITIVE,))

    load = loaded(spec, engine, tables, tmp_path)

    assert load is not None
    assert (load.rows_in, load.rows_quarantined, load.findings["positive"]["broken"]) == (COUNT, 125, 120)
    files = tables.snapshot("sources/s").files
    assert len(files) > 2
    rows = pa.concat_tables(map(pq.read_table, files))
    kept = np.flatnonzero(x[:-5] >= 0)
    assert np.array_equal(rows["id"].to_numpy(), kept)
    assert np.array_equal(rows["_seq"].to_numpy() - (load.number << 40), kept)
    assert np.array_equal(rows["x"].to_numpy(), x[kept])
    assert list((tmp_path / "staging").glob("ingest-*")) == []


def test_what_a_worker_cannot_read_refuses_the_load(
    engine: SparkEngine, tables: DeltaTables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portions, "PORTION_BYTES", 20)
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text(f"{name},x\n2024-01-01,1\n")
    with pytest.raises(DataError, match=r"b\.csv has no column 'a'"):
        loaded(SourceSpec("s", "a", str(tmp_path / "*.csv")), engine, tables, tmp_path)
    assert tables.list() == ()
    assert list((tmp_path / "staging").glob("ingest-*")) == []


def test_a_large_file_that_cannot_be_divided_is_told(
    engine: SparkEngine, tables: DeltaTables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portions, "PORTION_BYTES", 20)
    (tmp_path / "rows.csv").write_text("at,x\n2024-01-01,1\n2024-01-02,-1\n")
    spec = SourceSpec("s", "at", str(tmp_path / "rows.csv"), checks=(POSITIVE,))

    load = loaded(spec, engine, tables, tmp_path)

    assert load is not None
    assert (load.rows_accepted, load.rows_quarantined) == (1, 1)
    assert "rows.csv cannot be read from the middle" in load.findings["load.one_process"]["examples"][0]
