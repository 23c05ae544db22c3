"""From feature columns to the one float64 matrix that every model is fitted on and asked with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any

from inseam.kernel.types import DataType

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class EncodedColumn:
    """One column of the matrix. A string column is coded by its place in ``categories``; others are cast.

    NULL, and a category unseen in training, become NaN. Instants become seconds since the epoch, dates days.
    """

    name: str
    type: DataType
    categories: tuple[str, ...] = ()

    @property
    def is_categorical(self) -> bool:
        return self.type is DataType.STRING


@dataclass(frozen=True, slots=True)
class Encoding:
    columns: tuple[EncodedColumn, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def matrix(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """float64 of shape (rows, columns) from columns in the forms of `to_numpy`."""
        import numpy as np

        first = columns[self.columns[0].name]
        matrix = np.empty((len(first), len(self.columns)), np.float64)
        for place, column in enumerate(self.columns):
            matrix[:, place] = encode(column, columns[column.name])
        return matrix

    def row(self, values: Sequence[Any]) -> list[float]:
        """One row from plain Python values in column order (None for NULL): the serving path's form of `matrix`."""
        return [encode_value(column, value) for column, value in zip(self.columns, values, strict=True)]


def encode(column: EncodedColumn, values: np.ndarray) -> np.ndarray:
    import numpy as np

    if column.type is DataType.STRING:
        codes = {category: float(code) for code, category in enumerate(column.categories)}
        return np.fromiter((codes.get(value, np.nan) for value in values.tolist()), np.float64, len(values))
    if column.type is DataType.TIMESTAMP or column.type is DataType.DATE:
        ticks = values.astype("datetime64[us]")
        seconds = ticks.astype(np.int64) / (1e6 if column.type is DataType.TIMESTAMP else 86_400e6)
        return np.where(np.isnat(ticks), np.nan, seconds)
    return values.astype(np.float64, copy=False)


def encode_value(column: EncodedColumn, value: Any) -> float:
    if value is None:
        return float("nan")
    if column.type is DataType.STRING:
        return float(column.categories.index(value)) if value in column.categories else float("nan")
    if column.type is DataType.TIMESTAMP:
        # A time without a zone is UTC, never this machine's.
        aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return float(aware.timestamp())
    if column.type is DataType.DATE:
        return float(value.toordinal() - 719_163)
    return float(value)


def to_numpy(column: pa.Array | pa.ChunkedArray, type_: DataType) -> np.ndarray:
    """The one numpy form of an Arrow column.

    Numbers and bools: float64, NaN for NULL. Strings: object, None for NULL. Instants: ``datetime64[us]``, dates:
    ``datetime64[D]``, NaT for NULL.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if type_ is DataType.STRING:
        texts = pc.cast(column, pa.string())
        return np.asarray(texts.to_numpy(zero_copy_only=False), dtype=object)
    if type_ is DataType.TIMESTAMP:
        ticks = pc.cast(column, pa.timestamp("us", tz="UTC"))
        return np.asarray(ticks.to_numpy(zero_copy_only=False)).astype("datetime64[us]")
    if type_ is DataType.DATE:
        return np.asarray(pc.cast(column, pa.date32()).to_numpy(zero_copy_only=False)).astype("datetime64[D]")
    floats = pc.cast(column, pa.float64(), safe=False)
    return np.asarray(floats.to_numpy(zero_copy_only=False), dtype=np.float64)
