"""Rows on their way: written once to a scratch directory, so that a load is judged whole before it is committed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import pyarrow as pa

from inseam.ir.forgotten import Forgotten
from inseam.kernel.types import Schema
from inseam.stages.ingest.cells import Reject

FILE = "_file"
LINE = "_line"
REJECTS_PER_BATCH = 16_384
QUARANTINE = pa.schema(
    [
        ("load", pa.int64()),
        ("file", pa.string()),
        ("line", pa.int64()),
        ("reason", pa.string()),
        ("check", pa.string()),
        ("raw", pa.string()),
        ("quarantined_at", pa.timestamp("us", tz="UTC")),
    ]
)
"""The columns of a quarantine table."""


@dataclass(slots=True)
class Staging:
    """A load's rows and rejects on scratch disk, for the length of a ``with`` block.

    Staged rows have the source's columns, then `FILE` (place of the input) and `LINE`.
    """

    directory: Path
    schema: Schema
    number: int
    at: int
    """The load's instant: UTC microseconds."""
    rows: int = 0
    rejected: int = 0
    ignored: int = 0
    """Rows that are dropped without being wrong: their key is there already."""
    forgotten: Forgotten = field(default_factory=Forgotten)
    dropped: int = 0
    """Rows of forgotten entities."""
    paths: list[str] = field(default_factory=list)
    _rows_writer: pa.ipc.RecordBatchStreamWriter | None = None
    _rejects_writer: pa.ipc.RecordBatchStreamWriter | None = None
    _held: list[tuple[str, Reject]] = field(default_factory=list)

    def __enter__(self) -> Staging:
        # Whoever left something here is dead: the source's lease is held by this process.
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        self._rows_writer = pa.ipc.new_stream(str(self._rows_path), self.arrow_schema)
        self._rejects_writer = pa.ipc.new_stream(str(self._rejects_path), QUARANTINE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def arrow_schema(self) -> pa.Schema:
        return pa.schema([*self.schema.to_arrow(), (FILE, pa.int32()), (LINE, pa.int64())])

    @property
    def _rows_path(self) -> Path:
        return self.directory / "rows.arrow"

    @property
    def _rejects_path(self) -> Path:
        return self.directory / "rejects.arrow"

    def add(self, batch: pa.RecordBatch) -> None:
        assert self._rows_writer is not None
        dropped = self.forgotten.rows(dict(zip(batch.schema.names, batch.columns, strict=True)))
        if dropped is not None:
            batch = batch.filter(pa.array(~dropped))
            self.dropped += int(dropped.sum())
        self._rows_writer.write_batch(batch)
        self.rows += batch.num_rows

    def reject(self, path: str, rejects: Sequence[Reject]) -> None:
        kept = [reject for reject in rejects if not (self.forgotten and self.forgotten.is_named(reject.raw))]
        self._held += [(path, reject) for reject in kept]
        self.rejected += len(kept)
        self.dropped += len(rejects) - len(kept)
        while len(self._held) >= REJECTS_PER_BATCH:
            self._flush()

    def close(self) -> None:
        """No more rows are coming."""
        if self._rows_writer is not None:
            self._rows_writer.close()
            self._rows_writer = None

    def read(self) -> Iterator[pa.RecordBatch]:
        """The staged rows, block by block: read and not mapped, so that the process stays as small as a block."""
        self.close()
        with pa.OSFile(str(self._rows_path)) as file:
            yield from pa.ipc.open_stream(file)

    def rejects(self) -> pa.RecordBatchReader:
        """All rejects as rows of a quarantine table."""
        if self._rejects_writer is not None:
            while self._held:
                self._flush()
            self._rejects_writer.close()
            self._rejects_writer = None
        return pa.ipc.open_stream(pa.OSFile(str(self._rejects_path)))

    def _flush(self) -> None:
        assert self._rejects_writer is not None
        part, self._held = self._held[:REJECTS_PER_BATCH], self._held[REJECTS_PER_BATCH:]
        rejects = [reject for _, reject in part]
        columns = [
            pa.array([self.number] * len(part), pa.int64()),
            pa.array([path for path, _ in part], pa.string()),
            pa.array([reject.line for reject in rejects], pa.int64()),
            pa.array([reject.reason for reject in rejects], pa.string()),
            pa.array([reject.check for reject in rejects], pa.string()),
            pa.array([reject.raw for reject in rejects], pa.string()),
            pa.array([self.at] * len(part), QUARANTINE.field("quarantined_at").type),
        ]
        self._rejects_writer.write_batch(pa.record_batch(columns, schema=QUARANTINE))
