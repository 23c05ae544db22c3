"""The digest of rows: what they say, apart from how they were cut into batches, encoded or compressed."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inseam.kernel.types import DataType, Schema

_NUMPY = {
    DataType.BOOL: np.uint8,
    DataType.INT64: np.int64,
    DataType.FLOAT64: np.float64,
    DataType.TIMESTAMP: np.int64,
    DataType.DATE: np.int32,
}


class RowsDigest:
    """SHA-256 over each column's values in row order, NULL apart from every value, then over the columns."""

    def __init__(self, schema: Schema) -> None:
        self._columns = [(field.name, field.type, hashlib.sha256(), hashlib.sha256()) for field in schema]
        self._rows = 0

    def update(self, batch: pa.RecordBatch) -> None:
        """Take in the next rows; the batch has exactly the columns of the schema."""
        self._rows += batch.num_rows
        for (_, type_, marks, values), column in zip(self._columns, batch.columns, strict=True):
            if type_ is DataType.STRING:
                text = column.cast(pa.binary())
                lengths = pc.fill_null(pc.binary_length(text), -1)
                marks.update(_contiguous(lengths, np.int32))
                values.update(_bytes(pc.drop_null(text)))
            else:
                marks.update(_contiguous(pc.is_null(column).cast(pa.uint8()), np.uint8))
                values.update(_fixed(column, type_))

    def hexdigest(self) -> str:
        """64 hex digits."""
        whole = hashlib.sha256(f"rows {self._rows}".encode())
        for name, type_, marks, values in self._columns:
            whole.update(f"\n{len(name)} {name} {type_.value} {marks.hexdigest()} {values.hexdigest()}".encode())
        return whole.hexdigest()


def _bytes(text: pa.Array) -> memoryview:
    """The bytes of a column of texts without NULL, one after the other."""
    _, offsets, data = text.buffers()
    if len(text) == 0 or data is None:
        return memoryview(b"")
    ends = np.frombuffer(offsets, np.int32)[text.offset : text.offset + len(text) + 1]
    return memoryview(data)[ends[0] : ends[-1]]


def _fixed(column: pa.Array, type_: DataType) -> memoryview:
    """The values in little-endian order, zero where there is NULL; every NaN alike."""
    if type_ is DataType.TIMESTAMP:
        column = column.cast(pa.int64())
    elif type_ is DataType.DATE:
        column = column.cast(pa.int32())
    elif type_ is DataType.BOOL:
        column = column.cast(pa.uint8())
    if type_ is DataType.FLOAT64:
        column = pc.if_else(pc.is_nan(column), float("nan"), column)
    return _contiguous(pc.fill_null(column, 0), _NUMPY[type_])


def _contiguous(column: pa.Array, type_: type) -> memoryview:
    little = np.dtype(type_).newbyteorder("<")
    return np.ascontiguousarray(column.to_numpy(zero_copy_only=False), little).data.cast("B")
