"""Rows on their way: written once to a scratch directory, so that a load is judged whole before it is committed."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType

import numpy as np
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


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """The folder, empty, for the length of the block. Whoever left something there is dead."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(slots=True)
class Staging:
    """Rows and rejects of a part of a load, on scratch disk. They are added in a ``with`` block, and read after it.

    Staged rows have the source's columns, then `FILE` (place in ``paths``) and `LINE`. What is not open for writing can
    be sent to another process that sees ``directory``.
    """

    directory: Path
    schema: Schema
    number: int
    at: int
    """The load's instant: UTC microseconds."""
    paths: tuple[str, ...] = ()
    rows: int = 0
    rejected: int = 0
    ignored: int = 0
    """Rows that are dropped without being wrong: their key is there already."""
    forgotten: Forgotten = field(default_factory=Forgotten)
    dropped: int = 0
    """Rows of forgotten entities."""
    _rejects_files: tuple[str, ...] = ()
    _kept: str = ""
    _rows_writer: pa.ipc.RecordBatchStreamWriter | None = None
    _rejects_writer: pa.ipc.RecordBatchStreamWriter | None = None
    _held: list[tuple[str, Reject]] = field(default_factory=list)

    def __enter__(self) -> Staging:
        self.directory.mkdir()
        self._rows_writer = pa.ipc.new_stream(str(self._rows_path), self.arrow_schema)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close_rows()
        self._close_rejects()

    @property
    def arrow_schema(self) -> pa.Schema:
        return pa.schema([*self.schema.to_arrow(), (FILE, pa.int32()), (LINE, pa.int64())])

    @property
    def _rows_path(self) -> Path:
        return self.directory / "rows.arrow"

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

    def read(self) -> Iterator[pa.RecordBatch]:
        """The staged rows, block by block: read and not mapped, so that the process stays as small as a block."""
        self._close_rows()
        with pa.OSFile(str(self._rows_path)) as file:
            yield from pa.ipc.open_stream(file)

    def rejects(self) -> Iterator[pa.RecordBatch]:
        """All rejects as rows of a quarantine table."""
        self._close_rejects()
        for name in self._rejects_files:
            with pa.OSFile(str(self.directory / name)) as file:
                yield from pa.ipc.open_stream(file)

    def sealed(self, keep: np.ndarray) -> Staging:
        """This, written out whole, with what became of each staged row: whether it is kept (bool)."""
        self._close_rows()
        self._close_rejects()
        name = self._new("keep.npy")
        np.save(self.directory / name, keep)
        return replace(self, forgotten=Forgotten(), _kept=name)

    def opened(self, forgotten: Forgotten) -> tuple[Staging, np.ndarray]:
        """What was sealed, for more rejects, and which of its rows are kept until now."""
        return replace(self, forgotten=forgotten, _held=[]), self.kept()

    def kept(self) -> np.ndarray:
        found: np.ndarray = np.load(self.directory / self._kept)
        return found

    def _new(self, ending: str) -> str:
        """A file that nobody else writes, not even who does the same work again."""
        return f"{uuid.uuid4().hex[:12]}-{ending}"

    def _close_rows(self) -> None:
        if self._rows_writer is not None:
            self._rows_writer.close()
            self._rows_writer = None

    def _close_rejects(self) -> None:
        while self._held:
            self._flush()
        if self._rejects_writer is not None:
            self._rejects_writer.close()
            self._rejects_writer = None

    def _flush(self) -> None:
        if self._rejects_writer is None:
            self._rejects_files += (self._new("rejects.arrow"),)
            self._rejects_writer = pa.ipc.new_stream(str(self.directory / self._rejects_files[-1]), QUARANTINE)
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
