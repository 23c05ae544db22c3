"""Parquet by row batches, in the types that the file has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from inseam.ir.checks import SourceSpec
from inseam.kernel.errors import DataError
from inseam.stages.ingest.cells import BLOCK_ROWS, Cells
from inseam.stages.ingest.csv_layout import unique_names
from inseam.stages.ingest.location import InputFile


@dataclass(frozen=True, slots=True)
class RowGroup:
    """One row group of a file: its place, the rows before it, the bytes of the file that it stands for."""

    place: int
    before: int
    size: int


def row_groups(file: InputFile, spec: SourceSpec) -> list[RowGroup]:
    """A file's row groups in their order. `DataError` for a broken file."""
    with _opened(file, spec) as parquet:
        footer = parquet.metadata
        rows = [footer.row_group(place).num_rows for place in range(footer.num_row_groups)]
    before = np.concatenate([[0], np.cumsum(rows)]).tolist()
    ends = [file.size * count // max(before[-1], 1) for count in before]
    return [RowGroup(place, before[place], ends[place + 1] - ends[place]) for place in range(len(rows))]


def read_parquet(
    file: InputFile, spec: SourceSpec, advance: Callable[[int], None], groups: tuple[RowGroup, ...] = ()
) -> Iterator[Cells]:
    """The rows of a file, or of some row groups that follow each other; ``lines`` are the file's row numbers from 1."""
    with _opened(file, spec) as parquet:
        names = unique_names(parquet.schema_arrow.names)
        before = first = 1 + (groups[0].before if groups else 0)
        total = max(parquet.metadata.num_rows, 1)
        wanted = [group.place for group in groups] or None
        for batch in parquet.iter_batches(BLOCK_ROWS, row_groups=wanted):
            lines = pa.array(np.arange(first, first + batch.num_rows))
            yield Cells(dict(zip(names, batch.columns, strict=True)), lines, is_text=False)
            first += batch.num_rows
            advance(file.size * (first - before) // total)


@contextmanager
def _opened(file: InputFile, spec: SourceSpec) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(file.path) as parquet:
            yield parquet
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"source:{spec.name}", f"{file.path.name} cannot be read as Parquet: {error}") from error
