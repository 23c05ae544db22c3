"""SQL in DuckDB's dialect, run by DuckDB in the workers, batch by batch: one meaning on every engine."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from inseam.adapters.spark.failure import telling
from inseam.adapters.spark.shared import Limits, Session
from inseam.adapters.spark.types import ddl
from inseam.ports.rows import Batches

INPUT = "input_rows"
"""What the SQL calls the rows that come in."""


def worker_limits(memory: int) -> Limits:
    """What one task may use, on whatever machine it runs; a task has one processor."""
    return Limits(Path(tempfile.gettempdir()) / "inseam-spark", memory, 1)


def selected(frame: Any, sql: str, schema: pa.Schema, subject: str, memory: int) -> Any:
    """The frame's rows through a row-wise SELECT over `INPUT` (DataFrame to DataFrame, order kept)."""
    return frame.mapInArrow(partial(_select, sql, schema, subject, memory), ddl(schema))


def _select(sql: str, schema: pa.Schema, subject: str, memory: int, batches: Batches) -> Batches:
    return telling(_selected(sql, schema, subject, memory, batches))


def _selected(sql: str, schema: pa.Schema, subject: str, memory: int, batches: Batches) -> Batches:
    first = next(batches, None)
    if first is None:
        return
    with Session(worker_limits(memory)) as session:
        batch: pa.RecordBatch | None = first
        while batch is not None:
            session.register(INPUT, pa.Table.from_batches([batch]))
            yield from session.run(sql, subject).cast(schema).to_batches()
            batch = next(batches, None)
