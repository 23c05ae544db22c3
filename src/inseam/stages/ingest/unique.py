"""Rows that repeat a key, within the load and against the table: quarantined or ignored, as the source says.

Where they replace the rows before them all are kept: when each counts is told at reading, from the table alone.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inseam.ir.checks import CheckKind, CheckSpec, Severity, SourceSpec
from inseam.ir.relation import SYSTEM_COLUMNS, Relation
from inseam.kernel.errors import NotFoundError
from inseam.kernel.types import Schema
from inseam.ports.engine import Engine
from inseam.ports.rows import Batches
from inseam.ports.tables import Tables
from inseam.ports.workers import Workers
from inseam.stages.ingest.finding import Findings
from inseam.stages.ingest.judge import check_columns, describe, records, reject_rows
from inseam.stages.ingest.part import Part, Work, sealed
from inseam.stages.ingest.staging import Staging

KEY_CHECK = "key"
EARLIER = ", which an earlier row has"


def unique_checks(spec: SourceSpec) -> list[CheckSpec]:
    """The source's key as a check, unless its rows may repeat it, then its own unique checks."""
    key = CheckSpec(KEY_CHECK, CheckKind.UNIQUE, Severity.ERROR, columns=spec.key)
    return ([key] if spec.key and spec.on_duplicate != "replace" else []) + [
        check for check in spec.checks if check.kind is CheckKind.UNIQUE
    ]


def judge_unique(work: Work, parts: list[Part], workers: Workers, engine: Engine, tables: Tables) -> list[Part]:
    """The parts without the rows that repeat an earlier one in the columns of an error check; NULL repeats nothing."""
    for check in unique_checks(work.spec):
        check_columns(work.spec, check, work.schema)
        schema = pa.schema([work.schema.to_arrow().field(name) for name in check.columns])
        keys = workers.rows(partial(_keys, schema), parts, schema)
        places = engine.repeated(keys, check.columns, _held(work.spec, check.columns, tables)).reader()
        found = [batch.column("row").to_numpy() for batch in places]
        if found:
            parts = _struck(work, check, parts, np.concatenate(found), workers)
    return parts


def _keys(schema: pa.Schema, part: Part) -> Batches:
    """The columns that are not to repeat. A row that was rejected has no key: none repeats it."""
    keep, start = part.staging.kept(), 0
    for batch in part.staging.read():
        kept = pa.array(keep[start : start + batch.num_rows])
        columns = [pc.if_else(kept, batch.column(one.name), pa.scalar(None, one.type)) for one in schema]
        yield pa.record_batch(columns, schema=schema)
        start += batch.num_rows


def _struck(work: Work, check: CheckSpec, parts: list[Part], repeated: np.ndarray, workers: Workers) -> list[Part]:
    """The parts, of whose staged rows, counted through all of them, some repeat."""
    ends = np.cumsum([part.staging.rows for part in parts])
    cuts = np.searchsorted(repeated, np.concatenate([[0], ends]))
    places = [place for place in range(len(parts)) if cuts[place] < cuts[place + 1]]
    pieces = []
    for place in places:
        # They may be many: whoever works on the part reads them from a file.
        path = work.folder / f"repeated-{uuid.uuid4().hex[:12]}.npy"
        np.save(path, repeated[cuts[place] : cuts[place + 1]] - (ends[place] - parts[place].staging.rows))
        pieces.append((parts[place], path))
    done = dict(zip(places, workers.each(partial(_strike, work, check), pieces), strict=True))
    return [done.get(place, part) for place, part in enumerate(parts)]


def _strike(work: Work, check: CheckSpec, piece: tuple[Part, Path]) -> Part:
    part, path = piece
    staging, keep = part.staging.opened(work.forgotten)
    repeated, findings = np.load(path), Findings()
    findings.join(part.findings)
    if check.name == KEY_CHECK and work.spec.on_duplicate == "ignore":
        keep[repeated] = False
        staging.ignored += len(repeated)
    else:
        _take(check, staging, keep, repeated, findings)
    return sealed(work, staging, keep, part.read, findings)


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
