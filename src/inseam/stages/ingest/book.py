"""A load's entries in the ledger, and what becomes of a load whose process died: finished or taken back."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from typing import Any

from inseam.ir.records import LoadedFileRecord, LoadRecord, SourceSchemaRecord
from inseam.kernel.errors import ConflictError
from inseam.kernel.types import Schema
from inseam.ports.ledger import Ledger
from inseam.ports.tables import Tables

PENDING = "pending"
"""In the findings of a begun load: all that is needed to finish it."""


def sources_table(source: str) -> str:
    return f"sources/{source}"


def quarantine_table(source: str) -> str:
    return f"quarantine/{source}"


def application(source: str) -> str:
    """Names a source's loads in the tables' commit keys."""
    return f"ingest:{source}"


def next_number(source: str, tables: Tables) -> int:
    """Greater than that of any load, also of one that was taken back after a commit: a load commits to its table."""
    both = (sources_table(source), quarantine_table(source))
    return max(tables.committed(table, application(source)) or 0 for table in both) + 1


def held_schema(source: str, ledger: Ledger) -> Schema | None:
    record = ledger.get(SourceSchemaRecord, source)
    return None if record is None else Schema.of(record.columns.items())


def begun(load: LoadRecord, files: list[LoadedFileRecord], schema: Schema, watermark: int | None) -> LoadRecord:
    """The load as it is written before its first commit."""
    columns = [[field.name, field.type.value] for field in schema]
    pending = {"files": [asdict(file) for file in files], "columns": columns, "watermark": watermark}
    return replace(load, status="begun", findings={**load.findings, PENDING: pending})


def finish(load: LoadRecord, version: int, ledger: Ledger) -> LoadRecord:
    """Write the load as committed, with its files and the source's schema, in one transaction."""
    findings = dict(load.findings)
    pending = findings.pop(PENDING)
    done = replace(load, status="committed", version=version, findings=findings)
    files = [LoadedFileRecord(**file) for file in pending["files"]]
    ledger.put(done, *files, schema_record(load.source, dict(pending["columns"]), pending["watermark"], ledger))
    return done


def schema_record(source: str, columns: dict[str, Any], watermark: int | None, ledger: Ledger) -> SourceSchemaRecord:
    """The source's schema with its watermark, which never goes back."""
    held = ledger.get(SourceSchemaRecord, source)
    marks = [mark for mark in (watermark, held.watermark if held else None) if mark is not None]
    return SourceSchemaRecord(source, columns, max(marks, default=None))


def resolve(source: str, tables: Tables, ledger: Ledger) -> None:
    """Bring every begun load to an end: finish it if its rows are in the table, else take back what it wrote."""
    for load in ledger.select(LoadRecord, source=source, status="begun"):
        if (tables.committed(sources_table(source), application(source)) or 0) >= load.number:
            finish(load, _version_of(load, tables), ledger)
            continue
        if (tables.committed(quarantine_table(source), application(source)) or 0) >= load.number:
            tables.erase(quarantine_table(source), {"load": [load.number]})
        ledger.delete(load)


def settle(source: str, instant: int, tables: Tables, ledger: Ledger, *, wait_seconds: float = 600.0) -> None:
    """Wait until no row stamped at or before an instant is still on its way into the table.

    A load that begins from now on is stamped later. One whose process died is brought to its end. `ConflictError` when
    another process is loading and is not done in time.
    """
    until = time.monotonic() + wait_seconds
    while any(load.ingested_at <= instant for load in ledger.select(LoadRecord, source=source, status="begun")):
        try:
            with ledger.lease(application(source)):
                resolve(source, tables, ledger)
        except ConflictError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def _version_of(load: LoadRecord, tables: Tables) -> int:
    # Nobody else writes to the table while the source's lease is held: the newest snapshot is the load's.
    return tables.snapshot(sources_table(load.source)).version
