"""Parquet by row batches, in the types that the file has."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from inseam.ir.checks import SourceSpec
from inseam.kernel.errors import DataError
from inseam.stages.ingest.cells import BLOCK_ROWS, Cells
from inseam.stages.ingest.csv_layout import unique_names
from inseam.stages.ingest.location import InputFile


def read_parquet(file: InputFile, spec: SourceSpec, advance: Callable[[int], None]) -> Iterator[Cells]:
    """The rows of a file; ``lines`` are row numbers from 1. `DataError` for a broken file."""
    try:
        with pq.ParquetFile(file.path) as parquet:
            names = unique_names(parquet.schema_arrow.names)
            first = 1
            total = max(parquet.metadata.num_rows, 1)
            for batch in parquet.iter_batches(BLOCK_ROWS):
                lines = pa.array(np.arange(first, first + batch.num_rows))
                yield Cells(dict(zip(names, batch.columns, strict=True)), lines, is_text=False)
                first += batch.num_rows
                advance(file.size * (first - 1) // total)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"source:{spec.name}", f"{file.path.name} cannot be read as Parquet: {error}") from error
