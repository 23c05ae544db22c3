"""What a load takes in: the files, or the query's rows, that no earlier load took in."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Protocol, cast

import numpy as np
import pyarrow as pa
import xxhash

from inseam.ir.checks import SourceSpec
from inseam.kernel.errors import DataError
from inseam.ports.progress import Progress
from inseam.ports.workers import Workers
from inseam.stages.ingest import portions
from inseam.stages.ingest.cells import Cells
from inseam.stages.ingest.location import InputFile, examine, find_files

if TYPE_CHECKING:
    from inseam.stages.ingest.parquet_file import RowGroup

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

    @property
    def is_first(self) -> bool:
        """Whether what is told of the columns of the whole file is told with this: it may be a later part of one."""

    def read(self, advance: Advance, *, is_again: bool = False) -> Iterator[Cells]:
        """``is_again``: it will be read once more."""


@dataclass(frozen=True, slots=True)
class FileInput:
    """A file, or some row groups of one that follow each other."""

    spec: SourceSpec
    file: InputFile
    groups: tuple[RowGroup, ...] = ()

    @property
    def path(self) -> str:
        return str(self.file.path)

    @property
    def size(self) -> int:
        return sum(group.size for group in self.groups) if self.groups else self.file.size

    @property
    def is_first(self) -> bool:
        return not self.groups or self.groups[0].place == 0

    def cut(self) -> list[FileInput]:
        """The same in parts of a portion at most, as far as its format can be read from the middle."""
        if self.file.format != "parquet" or self.file.size <= portions.PORTION_BYTES:
            return [self]
        from inseam.stages.ingest.parquet_file import row_groups

        groups = row_groups(self.file, self.spec)
        parts = portions.grouped(groups, [group.size for group in groups])
        return [replace(self, groups=tuple(part)) for part in parts] or [self]

    @property
    def digest(self) -> str:
        return self.file.digest

    def read(self, advance: Advance, *, is_again: bool = False) -> Iterator[Cells]:
        from inseam.stages.ingest import csv_file, json_lines, parquet_file

        readers: dict[str, Callable[[InputFile, SourceSpec, Advance], Iterator[Cells]]] = {
            "csv": csv_file.read_csv,
            "parquet": partial(parquet_file.read_parquet, groups=self.groups),
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
        advance(self.size)


@dataclass(slots=True)
class QueryInput:
    """The rows of a query, which runs once: those that are read again wait in a file of ``scratch`` without a name."""

    spec: SourceSpec
    scratch: Path
    size: int | None = None
    path: str = "query"
    digest: str = ""
    is_first: bool = True
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


def find_inputs(
    spec: SourceSpec, loaded: Container[str], scratch: Path, workers: Workers, progress: Progress
) -> list[Input]:
    """The inputs in sorted order without those whose digest is in ``loaded``; of equal files the first."""
    if spec.query is not None:
        return [QueryInput(spec, scratch)]
    found: dict[str, Input] = {}
    for file in _examined(spec, workers, progress):
        if file.digest not in loaded:
            found.setdefault(file.digest, FileInput(spec, file))
    return list(found.values())


def _examined(spec: SourceSpec, workers: Workers, progress: Progress) -> Iterator[InputFile]:
    """The files at the source's location, each read once for its digest: by the workers where that is worth it."""
    paths = [Path(path).absolute() for path in find_files(spec)]
    groups = portions.grouped(paths, [_size(path) for path in paths])
    files: Iterator[InputFile] = (examine(path, spec) for path in paths)
    if workers.is_spread and len(groups) > 1:
        files = chain.from_iterable(workers.each(partial(_examine, spec), groups))
    for count, file in enumerate(files, start=1):
        yield file
        progress(f"examine {spec.name}", count, len(paths))


def _examine(spec: SourceSpec, paths: list[Path]) -> list[InputFile]:
    return [examine(path, spec) for path in paths]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # who reads it says what is wrong
        return 0


def in_portions(inputs: list[Input]) -> list[list[Input]]:
    """The inputs in their order, so many at a time as one worker takes. What can be read here only is one portion."""
    files = [source for source in inputs if isinstance(source, FileInput)]
    if len(files) < len(inputs):
        return [inputs]
    parts: list[Input] = [part for file in files for part in file.cut()]
    return portions.grouped(parts, [part.size or 0 for part in parts])
