"""A part of a load: some of its inputs, read and judged row by row by whoever works on it, and kept on scratch disk."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from inseam.ir.checks import SourceSpec
from inseam.ir.forgotten import Forgotten
from inseam.ir.relation import INGESTED_AT, SEQUENCE
from inseam.kernel.types import DataType, Schema, arrow_type
from inseam.ports.engine import Engine
from inseam.ports.progress import Progress, silent
from inseam.ports.rows import Batches
from inseam.stages.ingest.finding import Findings
from inseam.stages.ingest.inputs import Input
from inseam.stages.ingest.judge import judge
from inseam.stages.ingest.read import InputRows, stage
from inseam.stages.ingest.staging import FILE, LINE, Staging
from inseam.stages.ingest.whole import newest_event

Stamps = Callable[[pa.RecordBatch], pa.Array]
"""From staged rows to the instants at which they were taken in."""
INSTANT = arrow_type(DataType.TIMESTAMP)


@dataclass(frozen=True, slots=True)
class Work:
    """What whoever works on a part has to know. ``engine`` opens one there, with a folder for its scratch."""

    spec: SourceSpec
    schema: Schema
    number: int
    at: int
    folder: Path
    engine: Callable[[Path], Engine]
    forgotten: Forgotten = field(default_factory=Forgotten)


@dataclass(frozen=True, slots=True)
class Part:
    """What is known of a part, and where its rows wait. ``newest`` is the greatest event time that is accepted."""

    staging: Staging
    read: list[InputRows]
    findings: Findings
    accepted: int
    newest: int | None


def prepare(work: Work, inputs: list[Input], progress: Progress = silent) -> Part:
    """Read and judge some inputs, each row by itself."""
    findings = Findings()
    folder = work.folder / f"part-{uuid.uuid4().hex[:12]}"
    paths = tuple(source.path for source in inputs)
    with Staging(folder, work.schema, work.number, work.at, paths, forgotten=work.forgotten) as staging:
        read = stage(work.spec, inputs, staging, findings, progress)
        keep = np.ones(staging.rows, bool)
        judge(work.spec, staging, keep, work.engine(folder), findings)
        return sealed(work, staging, keep, read, findings)


def sealed(work: Work, staging: Staging, keep: np.ndarray, read: list[InputRows], findings: Findings) -> Part:
    """The part, of whose staged rows these are kept."""
    return Part(staging.sealed(keep), read, findings, int(keep.sum()), newest_event(work.spec, staging, keep))


def rejected(part: Part) -> Batches:
    """The part's rows for quarantine."""
    return part.staging.rejects()


def table_schema(schema: Schema) -> pa.Schema:
    """The columns of a source's table."""
    return pa.schema([*schema.to_arrow(), (INGESTED_AT, INSTANT), (SEQUENCE, pa.int64())])


def accepted(stamps: Stamps, piece: tuple[Part, int]) -> Batches:
    """The kept rows of a part with their system columns; ``piece[1]`` is the number of its first staged row."""
    part, start = piece
    staging, keep = part.staging, part.staging.kept()
    schema = table_schema(staging.schema)
    place = 0
    for batch in staging.read():
        rows = batch.num_rows
        numbers = pa.array(np.arange(start + place, start + place + rows))
        columns = [*batch.drop_columns([FILE, LINE]).columns, stamps(batch), numbers]
        whole = pa.record_batch(columns, schema=schema)
        mask = keep[place : place + rows]
        yield whole if mask.all() else whole.filter(pa.array(mask))
        place += rows
