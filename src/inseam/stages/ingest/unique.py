"""Rows that repeat a key, within the load and against the table: quarantined or ignored, as the source says.

Where they replace the rows before them all are kept: when each counts is told at reading, from the table alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inseam.ir.checks import CheckKind, CheckSpec, Severity, SourceSpec
from inseam.ir.relation import SYSTEM_COLUMNS, Relation
from inseam.kernel.errors import NotFoundError
from inseam.kernel.types import Schema
from inseam.ports.engine import Engine
from inseam.ports.tables import Tables
from inseam.stages.ingest.finding import Findings
from inseam.stages.ingest.judge import check_columns, describe, records, reject_rows
from inseam.stages.ingest.staging import Staging

KEY_CHECK = "key"
EARLIER = ", which an earlier row has"


def unique_checks(spec: SourceSpec) -> list[CheckSpec]:
    """The source's key as a check, unless its rows may repeat it, then its own unique checks."""
    key = CheckSpec(KEY_CHECK, CheckKind.UNIQUE, Severity.ERROR, columns=spec.key)
    return ([key] if spec.key and spec.on_duplicate != "replace" else []) + [
        check for check in spec.checks if check.kind is CheckKind.UNIQUE
    ]


def judge_unique(
    spec: SourceSpec, staging: Staging, keep: np.ndarray, engine: Engine, tables: Tables, findings: Findings
) -> None:
    """Clear ``keep`` for rows that repeat an earlier one in the columns of an error check; NULL repeats nothing."""
    for check in unique_checks(spec):
        check_columns(spec, check, staging.schema)
        repeated = _repeated(spec, check.columns, staging, keep, engine, tables)
        if check.name == KEY_CHECK and spec.on_duplicate == "ignore":
            keep[repeated] = False
            staging.ignored += len(repeated)
        elif len(repeated):
            _take(check, staging, keep, repeated, findings)


def _repeated(
    spec: SourceSpec, columns: Sequence[str], staging: Staging, keep: np.ndarray, engine: Engine, tables: Tables
) -> np.ndarray:
    """Places of the staged rows that repeat, ascending."""
    schema = pa.schema([staging.schema.to_arrow().field(name) for name in columns])

    def rows() -> Iterator[pa.RecordBatch]:
        start = 0
        for batch in staging.read():
            # A row that was rejected has no key: none repeats it.
            kept = pa.array(keep[start : start + batch.num_rows])
            named = [pc.if_else(kept, batch.column(name), pa.scalar(None, batch.column(name).type)) for name in columns]
            yield pa.record_batch(named, schema=schema)
            start += batch.num_rows

    reader = pa.RecordBatchReader.from_batches(schema, rows())
    places = engine.repeated(reader, columns, _held(spec, columns, tables)).reader()
    found = [batch.column("row").to_numpy() for batch in places]
    return np.concatenate(found) if found else np.empty(0, np.int64)


def _held(spec: SourceSpec, columns: Sequence[str], tables: Tables) -> Relation | None:
    """The rows that the table holds; None when none of them can have the key."""
    table = f"sources/{spec.name}"
    try:
        snapshot = tables.snapshot(table)
    except NotFoundError:
        return None
    if any(name not in snapshot.schema for name in columns):
        return None
    schema = Schema(tuple(field for field in snapshot.schema if field.name not in SYSTEM_COLUMNS))
    return Relation(table, spec.timestamp, schema, version=snapshot.version)


def _take(check: CheckSpec, staging: Staging, keep: np.ndarray, repeated: np.ndarray, findings: Findings) -> None:
    start = 0
    for batch in staging.read():
        first, last = np.searchsorted(repeated, [start, start + batch.num_rows])
        rows = repeated[first:last] - start
        start += batch.num_rows
        if not len(rows):
            continue
        wanted = records(batch, rows[: findings.room(check.name)])
        examples = [describe(check, record) + EARLIER for record in wanted]
        findings.add(check.name, check.kind.value, check.severity.value, len(rows), examples)
        if check.severity is Severity.ERROR:
            reject_rows(staging, check, batch, rows, EARLIER)
    if check.severity is Severity.ERROR:
        keep[repeated] = False
