"""The rows of a written training set, in the numpy forms that encodings and metrics take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from inseam.ir.encoding import to_numpy
from inseam.ir.training import PART
from inseam.kernel.errors import DataError, NotFoundError
from inseam.kernel.types import Schema

if TYPE_CHECKING:
    import numpy as np


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
    return Schema.from_arrow(_dataset(path).schema)


def read_training_rows(path: str, part: str, names: Sequence[str]) -> TrainingRows:
    """The named columns of one part, ``train`` or ``test``; `DataError` names the columns that are not there."""
    import pyarrow.compute as pc

    dataset = _dataset(path)
    schema = Schema.from_arrow(dataset.schema)
    missing = [name for name in names if name not in schema]
    if missing:
        raise DataError(
            f"training set {Path(path).name}",
            f"it has no column {', '.join(missing)}",
            expected=f"columns: {', '.join(schema.names)}",
            mend="build the training set again: its definition has changed",
        )
    wanted = list(dict.fromkeys(names))
    table = dataset.to_table(columns=wanted, filter=pc.field(PART) == part)
    columns = {field.name: to_numpy(table[field.name], field.type) for field in schema if field.name in wanted}
    return TrainingRows(columns, schema, table.num_rows)


def _dataset(path: str):  # type: ignore[no-untyped-def]  # noqa: ANN202 - pyarrow brings no types
    import pyarrow.dataset as ds

    if not Path(path).exists():
        raise NotFoundError(
            f"training set {path}", "there is nothing at this path", mend="build the training set again"
        )
    return ds.dataset(path, format="parquet")
