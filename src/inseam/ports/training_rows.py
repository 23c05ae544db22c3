"""The rows of a written training set, in the numpy forms that encodings and metrics take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from inseam.ir.encoding import to_numpy
from inseam.ir.entity_key import EntityKey, rows_of
from inseam.ir.training import PART
from inseam.kernel.errors import DataError, NotFoundError
from inseam.kernel.types import Schema
from inseam.ports.object_store import ObjectUrl, is_object_url

if TYPE_CHECKING:
    import numpy as np
    import pyarrow.dataset as ds


@dataclass(frozen=True)
class TrainingRows:
    """Columns by name, each of shape (rows,), in the rows' written order."""

    columns: dict[str, np.ndarray]
    schema: Schema
    count: int

    def take(self, rows: np.ndarray) -> TrainingRows:
        """The rows that a mask or an index picks."""
        taken = {name: values[rows] for name, values in self.columns.items()}
        count = int(rows.sum()) if rows.dtype == bool else len(rows)
        return TrainingRows(taken, self.schema, count)


def training_schema(path: str) -> Schema:
    """The columns of a training set; `NotFoundError` when nothing is written there."""
    with _dataset(path) as dataset:
        return Schema.from_arrow(dataset.schema)


def read_training_rows(path: str, part: str, names: Sequence[str]) -> TrainingRows:
    """The named columns of one part, ``train`` or ``test``; `DataError` names the columns that are not there."""
    import pyarrow.compute as pc

    with _dataset(path) as dataset:
        schema = Schema.from_arrow(dataset.schema)
        _check_columns(path, schema, names)
        wanted = list(dict.fromkeys(names))
        table = dataset.to_table(columns=wanted, filter=pc.field(PART) == part)
    columns = {field.name: to_numpy(table[field.name], field.type) for field in schema if field.name in wanted}
    return TrainingRows(columns, schema, table.num_rows)


def _check_columns(path: str, schema: Schema, names: Sequence[str]) -> None:
    missing = [name for name in names if name not in schema]
    if missing:
        raise DataError(
            f"training set {Path(path).name}",
            f"it has no column {', '.join(missing)}",
            expected=f"columns: {', '.join(schema.names)}",
            mend="build the training set again: its definition has changed",
        )


def count_rows(path: str, key: EntityKey) -> int:
    """The rows of an entity in a training set; 0 for one without the columns of its key."""
    with _dataset(path) as dataset:
        cells = key.within(Schema.from_arrow(dataset.schema))
        return 0 if cells is None else int(dataset.count_rows(filter=rows_of(cells)))


@contextmanager
def _dataset(path: str) -> Iterator[ds.Dataset]:
    """The file, whose pages are held to their checksums, where it lies: on this machine or in an object store."""
    import pyarrow.dataset as ds
    import pyarrow.fs as pafs

    scan = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    as_parquet = ds.ParquetFileFormat(default_fragment_scan_options=scan)
    place = ObjectUrl(path) if is_object_url(path) else None
    files = None if place is None else pafs.PyFileSystem(pafs.FSSpecHandler(place.files()))
    try:
        with nullcontext() if place is None else place.faults():
            yield ds.dataset(path, format=as_parquet, filesystem=files)
    except FileNotFoundError:
        raise NotFoundError(
            f"training set {path}", "there is nothing at this path", mend="build the training set again"
        ) from None
    except OSError as error:
        raise DataError(
            f"training set {path}", f"it cannot be read: {error}", mend="remove it and build it again"
        ) from error
