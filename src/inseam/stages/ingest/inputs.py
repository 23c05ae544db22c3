"""What a load takes in: the files, or the query's rows, that no earlier load took in."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Protocol, cast

import numpy as np
import pyarrow as pa
import xxhash

from inseam.ir.checks import SourceSpec
from inseam.kernel.errors import DataError
from inseam.ports.progress import Progress
from inseam.stages.ingest.cells import Cells
from inseam.stages.ingest.location import InputFile, examine, find_files

Advance = Callable[[int], None]


class Input(Protocol):
    """One thing to read. ``digest`` names its content; that of a query is known when its rows have been read."""

    @property
    def path(self) -> str: ...

    @property
    def size(self) -> int | None:
        """Bytes; None for a query, whose progress is counted in rows."""

    @property
    def digest(self) -> str: ...

    def read(self, advance: Advance, *, is_again: bool = False) -> Iterator[Cells]:
        """``is_again``: it will be read once more."""


@dataclass(frozen=True, slots=True)
class FileInput:
    spec: SourceSpec
    file: InputFile

    @property
    def path(self) -> str:
        return str(self.file.path)

    @property
    def size(self) -> int | None:
        return self.file.size

    @property
    def digest(self) -> str:
        return self.file.digest

    def read(self, advance: Advance, *, is_again: bool = False) -> Iterator[Cells]:
        from inseam.stages.ingest import csv_file, json_lines, parquet_file

        readers = {
            "csv": csv_file.read_csv,
            "parquet": parquet_file.read_parquet,
            "jsonl": json_lines.read_json_lines,
        }
        try:
            yield from readers[self.file.format](self.file, self.spec, advance)
        except (EOFError, OSError, zlib.error) as error:
            subject = f"source:{self.spec.name}"
            raise DataError(subject, f"{self.file.path.name} cannot be read: {error}") from error
        if not self.file.is_unchanged():
            raise DataError(
                f"source:{self.spec.name}",
                f"{self.file.path.name} was changed while it was read",
                mend="write files under another name first and rename them when they are whole",
            )
        advance(self.file.size)


@dataclass(slots=True)
class QueryInput:
    """The rows of a query, which runs once: those that are read again wait in a file of ``scratch`` without a name."""

    spec: SourceSpec
    scratch: Path
    size: int | None = None
    path: str = "query"
    digest: str = ""
    _kept: IO[bytes] | None = None

    def read(self, advance: Advance, *, is_again: bool = False) -> Iterator[Cells]:
        digest = xxhash.xxh3_128()
        rows = 0
        for batch in self._batches(is_again=is_again):
            digest.update(batch.schema.serialize())
            digest.update(batch.serialize())
            lines = pa.array(np.arange(rows + 1, rows + 1 + batch.num_rows))
            yield Cells(dict(zip(batch.schema.names, batch.columns, strict=True)), lines, is_text=False)
            rows += batch.num_rows
            advance(rows)
        self.digest = digest.hexdigest()

    def _batches(self, *, is_again: bool) -> Iterator[pa.RecordBatch]:
        from inseam.stages.ingest.query import read_query

        if self._kept is not None:
            yield from _kept_batches(self._kept)
            return
        kept = None
        if is_again:
            self.scratch.mkdir(parents=True, exist_ok=True)
            kept = cast(IO[bytes], TemporaryFile(dir=self.scratch))  # noqa: SIM115 - read once more by whoever asked
        for batch in read_query(self.spec):
            if kept is not None:
                # Each in a stream of its own: their columns need not be of the same types.
                with pa.ipc.new_stream(kept, batch.schema) as writer:
                    writer.write_batch(batch)
            yield batch
        self._kept = kept


def _kept_batches(file: IO[bytes]) -> Iterator[pa.RecordBatch]:
    end = file.tell()
    file.seek(0)
    while file.tell() < end:
        yield from pa.ipc.open_stream(file)


def find_inputs(spec: SourceSpec, loaded: Container[str], scratch: Path, progress: Progress) -> list[Input]:
    """The inputs in sorted order without those whose digest is in ``loaded``; of equal files the first."""
    if spec.query is not None:
        return [QueryInput(spec, scratch)]
    found: dict[str, Input] = {}
    paths = find_files(spec)
    for count, path in enumerate(paths, start=1):
        file = examine(Path(path).absolute(), spec)
        if file.digest not in loaded:
            found.setdefault(file.digest, FileInput(spec, file))
        progress(f"examine {spec.name}", count, len(paths))
    return list(found.values())
