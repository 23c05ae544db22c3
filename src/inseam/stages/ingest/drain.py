"""The stream log into the source's table: loads like those of files, each row with the instant of its push."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from inseam.ir.checks import SourceSpec
from inseam.ir.records import LoadedFileRecord, LoadRecord
from inseam.ir.stream_row import StreamRowCodec, UnreadableError
from inseam.kernel.errors import RefusedError
from inseam.kernel.types import DataType, Schema, arrow_type
from inseam.ports.engine import Engine
from inseam.ports.ledger import Ledger
from inseam.ports.progress import Progress, silent
from inseam.ports.stream_log import StreamLog, StreamRow
from inseam.ports.tables import Tables
from inseam.stages.ingest import book
from inseam.stages.ingest.cells import BLOCK_ROWS, Cells, Reject
from inseam.stages.ingest.load import Load
from inseam.stages.ingest.part import Stamps
from inseam.stages.ingest.staging import LINE

STREAM = "stream"
"""The digest under which a source's log is known as loaded; the path with it says through which sequence."""


def drained(source: str, ledger: Ledger) -> int:
    """The sequence through which the source's log is in its table, or in quarantine."""
    taken = ledger.get(LoadedFileRecord, source, STREAM)
    return 0 if taken is None else int(taken.path.rpartition(":")[2])


def drain(
    spec: SourceSpec,
    log: StreamLog,
    *,
    tables: Tables,
    ledger: Ledger,
    engine: Engine,
    directory: Path,
    most: int = 100_000,
    wait_seconds: float = 0.0,
    progress: Progress = silent,
) -> LoadRecord | None:
    """Take up to ``most`` rows from the log in one load; None when there is none that is new.

    Each row goes in once, whatever is killed: the sequence drained through is written with the load. Rows are judged as
    those of files are, but for the checks of whole loads: a part of a stream is none. The rows stay in the log.
    `ConflictError` when another process loads the source for longer than ``wait_seconds``.
    """
    with ledger.lease(book.application(spec.name), wait_seconds=wait_seconds):
        book.resolve(spec.name, tables, ledger)
        rows = log.read(spec.name, drained(spec.name, ledger), most)
        if not rows:
            return None
        schema = spec.schema or book.held_schema(spec.name, ledger)
        if schema is None:
            raise RefusedError(f"source:{spec.name}", "its columns are not known", mend="declare schema={...}")
        checks = tuple(check for check in spec.checks if not check.kind.is_of_load)
        # Rows have the source's own names by now.
        judged = replace(spec, checks=checks, rename=(), query=None)
        load = Load(judged, tables, ledger, engine, progress)
        return load.run([_Part(rows, schema)], directory / "ingest" / spec.name, None, stamps=_stamps(rows))


def _stamps(rows: Sequence[StreamRow]) -> Stamps:
    sequences = np.array([row.sequence for row in rows])
    instants = np.array([row.ingested_at for row in rows])

    def stamps(batch: pa.RecordBatch) -> pa.Array:
        places = np.searchsorted(sequences, batch.column(LINE).to_numpy())
        return pa.array(instants[places]).cast(arrow_type(DataType.TIMESTAMP))

    return stamps


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows of the log, as a load takes them in. Their lines are their sequences."""

    rows: Sequence[StreamRow]
    schema: Schema
    digest: str = STREAM
    size: int | None = None
    is_first: bool = True

    @property
    def path(self) -> str:
        return f"{STREAM}:{self.rows[-1].sequence}"

    def read(self, advance: Callable[[int], None], *, is_again: bool = False) -> Iterator[Cells]:
        for start in range(0, len(self.rows), BLOCK_ROWS):
            yield self._block(self.rows[start : start + BLOCK_ROWS])
            advance(min(start + BLOCK_ROWS, len(self.rows)))

    def _block(self, rows: Sequence[StreamRow]) -> Cells:
        codec = StreamRowCodec(self.schema)
        decoded: list[tuple[object, ...]] = []
        lines: list[int] = []
        rejects: list[Reject] = []
        for row in rows:
            try:
                decoded.append(codec.decode(row.payload))
                lines.append(row.sequence)
            except UnreadableError as error:  # a message that is no row, or one of a source that was declared otherwise
                rejects.append(Reject(row.sequence, str(error), error.text))
        columns = dict(zip(self.schema.names, codec.batch(decoded).columns, strict=True))
        return Cells(columns, pa.array(lines, pa.int64()), is_text=False, rejects=rejects, has_header=False)
