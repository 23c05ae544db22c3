"""A workplace for ingestion on the real adapters: Delta, DuckDB, SQLite."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inseam.adapters.delta.tables import DeltaTables
from inseam.adapters.duckdb.engine import DuckdbEngine
from inseam.adapters.sql.ledger import SqlLedger
from inseam.ir.checks import SourceSpec
from inseam.ir.records import LoadRecord
from inseam.kernel.errors import NotFoundError
from inseam.kernel.types import Schema
from inseam.stages.ingest.load import ingest

REAL_DATA = Path(os.environ.get("INSEAM_DATA") or Path(__file__).parents[3].parent / "shared" / "data")


@dataclass
class Workplace:
    """Writes input files below ``root / "in"`` and ingests them."""

    root: Path
    tables: DeltaTables = field(init=False)
    ledger: SqlLedger = field(init=False)
    engine: DuckdbEngine = field(init=False)

    def __post_init__(self) -> None:
        self.tables = DeltaTables(self.root / "tables")
        self.ledger = SqlLedger(f"sqlite:///{self.root}/ledger.db")
        self.engine = DuckdbEngine(self.tables, directory=self.root / "scratch")
        (self.root / "in").mkdir(exist_ok=True)

    def write(self, name: str, content: str | bytes, encoding: str = "utf-8") -> Path:
        path = self.root / "in" / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    def spec(self, **changes: Any) -> SourceSpec:
        columns = changes.pop("columns", None)
        if columns is not None:
            changes["schema"] = Schema.of(item.split(":") for item in columns.split())  # type: ignore[misc]
        given = {"name": "s", "timestamp": "at", "location": str(self.root / "in")} | changes
        return SourceSpec(**given)

    def ingest(self, spec: SourceSpec | None = None, **options: Any) -> LoadRecord | None:
        return ingest(
            spec or self.spec(),
            tables=self.tables,
            ledger=self.ledger,
            engine=self.engine,
            directory=self.root / "scratch",
            **options,
        )

    def load(self, **changes: Any) -> LoadRecord:
        """Ingest something new, and hold the record to its tables."""
        spec = self.spec(**changes)
        before = len(self.rows(spec.name)), len(self.quarantine(spec.name))
        load = self.ingest(spec)
        assert load is not None
        assert load.status == "committed"
        assert load.rows_in == load.rows_accepted + load.rows_quarantined + load.rows_ignored + load.rows_forgotten
        after = len(self.rows(spec.name)), len(self.quarantine(spec.name))
        assert after == (before[0] + load.rows_accepted, before[1] + load.rows_quarantined)
        return load

    def rows(self, name: str = "s", *, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
        return sorted(self._read(f"sources/{name}", columns), key=lambda row: row.get("_seq", 0))

    def column(self, column: str, name: str = "s") -> list[Any]:
        return [row[column] for row in self.rows(name)]

    def quarantine(self, name: str = "s") -> list[dict[str, Any]]:
        return self._read(f"quarantine/{name}", None)

    def _read(self, table: str, columns: Sequence[str] | None) -> list[dict[str, Any]]:
        try:
            snapshot = self.tables.snapshot(table)
        except NotFoundError:
            return []
        found: list[dict[str, Any]] = []
        for file in snapshot.files:
            part = pq.ParquetFile(file).read(columns=columns)
            for one in snapshot.schema.to_arrow():
                if columns is None and one.name not in part.column_names:
                    part = part.append_column(one, pa.nulls(part.num_rows, one.type))
            found += part.to_pylist()
        return found


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path)


@pytest.fixture
def real_data() -> Path:
    if not REAL_DATA.is_dir():
        pytest.skip("the public data sets are not on this machine (INSEAM_DATA names their directory)")
    return REAL_DATA
