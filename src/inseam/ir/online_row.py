"""The bytes of an online row: 8-byte words, so that many rows together are one matrix.

    word 0        boundary, int64, UTC microseconds
    word 1        version of the table's snapshot, int64
    next words    NULL bitmap, 64 features a word, bit i of word i // 64 is feature i
    next words    one slot a feature: float64 | int64 | bool as 0 or 1 | timestamp in microseconds | date in days
                  | string as its offset in the row (low 32 bits) and its length in bytes (high 32 bits)
    tail          the strings' UTF-8

All little-endian. The slot of a NULL is 0. Floats keep every bit.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from inseam.kernel.clock import to_datetime
from inseam.kernel.errors import DataError
from inseam.kernel.types import DataType, Schema, arrow_type

if TYPE_CHECKING:
    import pyarrow as pa

_CODES = {DataType.FLOAT64: "d", DataType.BOOL: "?7x", DataType.STRING: "Q"}
_UNIX_DAY = date(1970, 1, 1).toordinal()
_LENGTH = (1 << 32) - 1
_PYTHON_RANGES = {
    DataType.TIMESTAMP: (-62_135_596_800_000_000, 253_402_300_799_999_999),
    DataType.DATE: (date.min.toordinal() - _UNIX_DAY, date.max.toordinal() - _UNIX_DAY),
}


class Row(NamedTuple):
    """One online row. ``values`` in the schema's order, None for NULL; instants as UTC datetimes."""

    boundary: int
    version: int
    values: Sequence[Any]


class RowCodec:
    """Rows of one schema."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        types = [field.type for field in schema]
        self.null_words = max(1, -(-len(types) // 64))
        self.head = 2 + self.null_words
        self.words = self.head + len(types)
        self.size = 8 * self.words
        self.strings = [place for place, type_ in enumerate(types) if type_ is DataType.STRING]
        codes = "".join(_CODES.get(type_, "q") for type_ in types)
        self._unpack = struct.Struct(f"<qq{self.null_words}Q{codes}").unpack_from
        instants = (DataType.TIMESTAMP, DataType.DATE)
        self._instants = [(place, type_) for place, type_ in enumerate(types) if type_ in instants]
        self._is_plain = not self.strings and not self._instants
        self.void = struct.pack("<qq", 0, 0) + b"\xff" * (8 * self.null_words) + bytes(8 * len(types))
        """A row in which every feature is NULL: it stands in where an entity has none."""

    def encode(self, batch: pa.RecordBatch, boundary: int, version: int) -> list[bytes]:
        """The rows of a batch, from its columns of the features' names. `DataError` for instants beyond the years 1 to
        9999, which no reader could name."""
        rows = batch.num_rows
        words = np.zeros((rows, self.words), "<i8")
        words[:, 0] = boundary
        words[:, 1] = version
        tail = np.full(rows, self.size, np.int64)
        texts = []
        for place, field in enumerate(self.schema):
            column = batch.column(field.name).cast(arrow_type(field.type))
            if column.null_count:
                bit = column.is_null().to_numpy(zero_copy_only=False).astype(np.uint64) << np.uint64(place % 64)
                words[:, 2 + place // 64] |= bit.view(np.int64)
            if field.type is DataType.STRING:
                text, length = _text(column)
                words[:, self.head + place] = tail | (length << 32)
                words[column.is_null().to_numpy(zero_copy_only=False), self.head + place] = 0
                tail += length
                texts.append(text)
            else:
                words[:, self.head + place] = _slots(column, field.name, field.type)
        return _cut(words, texts)

    def decode(self, row: bytes) -> Row:
        """One row."""
        words = self._unpack(row)
        values = list(words[self.head :])
        if not self._is_plain:
            for place in self.strings:
                slot = values[place]
                start = slot & _LENGTH
                values[place] = row[start : start + (slot >> 32)].decode()
            for place, type_ in self._instants:
                values[place] = _INSTANTS[type_](values[place])
        for word in range(self.null_words):
            bits = words[2 + word]
            while bits:
                values[64 * word + (bits & -bits).bit_length() - 1] = None
                bits &= bits - 1
        return Row(words[0], words[1], values)

    def block(self, rows: Sequence[bytes | None]) -> RowBlock:
        """Many rows, decoded together; None where there is none."""
        is_missing = [row is None for row in rows]
        present: Sequence[bytes] = [self.void if row is None else row for row in rows] if any(is_missing) else rows  # type: ignore[assignment]
        return RowBlock(self, present, is_missing)


class RowBlock:
    """Many rows of one view as a matrix of words, shape (rows, words)."""

    def __init__(self, codec: RowCodec, rows: Sequence[bytes], is_missing: list[bool]) -> None:
        self.codec = codec
        self.is_missing = is_missing
        self._rows = rows
        size = codec.size
        fixed = [row[:size] for row in rows] if codec.strings else rows
        self._words = np.frombuffer(b"".join(fixed), "<i8").reshape(len(rows), codec.words)
        bitmap = self._words[:, 2 : codec.head]
        self._has_nulls = bool(bitmap.any())

    def head(self, word: int) -> list[int | None]:
        """The boundaries (word 0) or versions (word 1), None for a missing row."""
        values: list[int | None] = self._words[:, word].tolist()
        if True in self.is_missing:
            return [None if is_missing else value for is_missing, value in zip(self.is_missing, values, strict=True)]
        return values

    def columns(self) -> list[list[Any]]:
        """Each feature's Python values, None for NULL, in the schema's order."""
        slots = self._words[:, self.codec.head :]
        floats: list[list[Any]] = slots.view("<f8").T.tolist()
        columns = [
            floats[place] if field.type is DataType.FLOAT64 else self._values(place, field.type)
            for place, field in enumerate(self.codec.schema)
        ]
        if self._has_nulls:
            for place, column in enumerate(columns):
                for row in np.flatnonzero(self._nulls(place)).tolist():
                    column[row] = None
        return columns

    def arrays(self) -> list[np.ndarray]:
        """Each feature as one numpy array in the forms of `encoding.to_numpy`."""
        return [self._array(place, field.type) for place, field in enumerate(self.codec.schema)]

    def _nulls(self, place: int) -> np.ndarray:
        word = self._words[:, 2 + place // 64]
        nulls: np.ndarray = (word >> (place % 64)) & 1 != 0
        return nulls

    def _values(self, place: int, type_: DataType) -> list[Any]:
        slots = self._words[:, self.codec.head + place]
        values: list[Any] = slots.tolist()
        if type_ is DataType.BOOL:
            return list(map(bool, values))
        if type_ is DataType.STRING:
            return [
                row[slot & _LENGTH : (slot & _LENGTH) + (slot >> 32)].decode()
                for row, slot in zip(self._rows, values, strict=True)
            ]
        convert = _INSTANTS.get(type_)
        return values if convert is None else list(map(convert, values))

    def _array(self, place: int, type_: DataType) -> np.ndarray:
        slots = self._words[:, self.codec.head + place]
        array: np.ndarray
        null: Any
        if type_ is DataType.STRING:
            array, null = np.array(self._values(place, type_), dtype=object), None
        elif type_ is DataType.FLOAT64:
            array, null = slots.view("<f8").copy(), np.nan
        elif type_ is DataType.TIMESTAMP:
            array, null = slots.astype("datetime64[us]"), np.datetime64("NaT")
        elif type_ is DataType.DATE:
            array, null = slots.astype("datetime64[D]"), np.datetime64("NaT")
        else:
            array, null = slots.astype(np.float64), np.nan
        if self._has_nulls:
            array[self._nulls(place)] = null
        return array


def _date(days: int) -> date:
    return date.fromordinal(days + _UNIX_DAY)


_INSTANTS: dict[DataType, Any] = {DataType.TIMESTAMP: to_datetime, DataType.DATE: _date}


def _slots(column: pa.Array, name: str, type_: DataType) -> np.ndarray:
    """A column that is not a string's, as int64 words with 0 for NULL."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if type_ is DataType.FLOAT64:
        return np.ascontiguousarray(pc.fill_null(column, 0.0).to_numpy()).view(np.int64)
    if type_ is DataType.DATE:
        column = column.cast(pa.int32())
    whole: np.ndarray = pc.fill_null(column.cast(pa.int64()), 0).to_numpy()
    low, high = _PYTHON_RANGES.get(type_, (None, None))
    if low is not None and len(whole) and (whole.min() < low or whole.max() > high):
        raise DataError(f"feature {name!r}", "an instant beyond the calendar", expected="the years 1 to 9999")
    return whole


def _text(column: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """A string column as binary with empty for NULL, and its lengths in bytes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pc.fill_null(column, "").cast(pa.binary())
    return text, pc.binary_length(text).to_numpy().astype(np.int64)


def _cut(words: np.ndarray, texts: list[pa.Array]) -> list[bytes]:
    """Each row's words and texts as one bytes object."""
    if not texts:
        size = words.shape[1] * 8
        whole = words.tobytes()
        return [whole[start : start + size] for start in range(0, len(whole), size)]
    import pyarrow as pa
    import pyarrow.compute as pc

    buffers = [None, pa.py_buffer(words)]
    fixed = pa.Array.from_buffers(pa.binary(words.shape[1] * 8), len(words), buffers).cast(pa.large_binary())
    parts = (text.cast(pa.large_binary()) for text in texts)
    joined: list[bytes] = pc.binary_join_element_wise(fixed, *parts, pa.scalar(b"", pa.large_binary())).to_pylist()
    return joined
