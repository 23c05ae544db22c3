"""Rows that repeat a key, within the load and against the table: the first one stays. Sorted by the engine, on disk."""

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

_PLACE = "_place"
"""A row's place among the staged rows; -1 for a row that the table holds already."""
KEY_CHECK = "key"
EARLIER = ", which an earlier row has"


def unique_checks(spec: SourceSpec) -> list[CheckSpec]:
    """The source's key as a check, then its own unique checks."""
    key = CheckSpec(KEY_CHECK, CheckKind.UNIQUE, Severity.ERROR, columns=spec.key)
    return ([key] if spec.key else []) + [check for check in spec.checks if check.kind is CheckKind.UNIQUE]


def judge_unique(
    spec: SourceSpec, staging: Staging, keep: np.ndarray, engine: Engine, tables: Tables, findings: Findings
) -> None:
    """Clear ``keep`` for rows that repeat an earlier one in the columns of an error check; NULL repeats nothing."""
    for check in unique_checks(spec):
        check_columns(spec, check, staging.schema)
        repeated = _repeated(spec, check.columns, staging, keep, engine, tables)
        if len(repeated):
            _take(check, staging, keep, repeated, findings)


def _repeated(
    spec: SourceSpec, columns: Sequence[str], staging: Staging, keep: np.ndarray, engine: Engine, tables: Tables
) -> np.ndarray:
    """Places of the staged rows that repeat, ascending."""
    schema = pa.schema([*(staging.schema.to_arrow().field(name) for name in columns), (_PLACE, pa.int64())])

    def rows() -> Iterator[pa.RecordBatch]:
        yield from _held(spec, columns, engine, tables, schema)
        start = 0
        for batch in staging.read():
            places = np.arange(start, start + batch.num_rows)
            mask = pa.array(keep[start : start + batch.num_rows])
            named = [batch.column(name) for name in columns]
            yield pa.record_batch([*named, pa.array(places)], schema=schema).filter(mask)
            start += batch.num_rows

    ordered = engine.sort(pa.RecordBatchReader.from_batches(schema, rows()), [*columns, _PLACE])
    found: list[np.ndarray] = []
    before: pa.RecordBatch | None = None
    for batch in ordered:
        if batch.num_rows:
            found.append(_repeats(batch, before, columns))
            before = batch.slice(batch.num_rows - 1)
    whole = np.concatenate(found) if found else np.empty(0, np.int64)
    return np.sort(whole[whole >= 0])


def _held(
    spec: SourceSpec, columns: Sequence[str], engine: Engine, tables: Tables, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """The keys that the table holds."""
    table = f"sources/{spec.name}"
    try:
        snapshot = tables.snapshot(table)
    except NotFoundError:
        return
    if any(name not in snapshot.schema for name in columns):
        return
    held = Schema(tuple(field for field in snapshot.schema if field.name not in SYSTEM_COLUMNS))
    relation = Relation(table, spec.timestamp, held, version=snapshot.version)
    for batch in engine.scan(relation, columns=list(columns)):
        places = pa.array(np.full(batch.num_rows, -1, np.int64))
        yield pa.record_batch([*(batch.column(name) for name in columns), places], schema=schema)


def _repeats(batch: pa.RecordBatch, before: pa.RecordBatch | None, columns: Sequence[str]) -> np.ndarray:
    """Places of a sorted batch's rows that equal the row before them; ``before`` ends the batch before."""
    whole = pa.Table.from_batches([batch] if before is None else [before, batch]).combine_chunks()
    same = pa.array(np.ones(max(whole.num_rows - 1, 0), bool))
    for name in columns:
        column = whole.column(name)
        same = pc.and_(same, pc.fill_null(pc.equal(column.slice(1), column.slice(0, len(column) - 1)), False))
    places = np.asarray(whole.column(_PLACE).to_numpy(), np.int64)[1:]
    return np.asarray(places[np.asarray(same)])


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
