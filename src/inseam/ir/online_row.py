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
from collections.abc import Collection, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from inseam.kernel.clock import to_datetime
from inseam.kernel.errors import DataError
from inseam.kernel.types import DataType, Schema, arrow_type

if TYPE_CHECKING:
    import pyarrow as pa

_CODES = {DataType.FLOAT64: "d", DataType.BOOL: "?7x", DataType.STRING: "Q"}
_UNIX_DAY = date(1970, 1, 1).toordinal()
_LENGTH = (1 << 32) - 1
NO_BOUNDARY = -(1 << 63)
"""Stands for the boundary of a row that is not there: no instant, and NaT to numpy."""
NO_VERSION = -1
_PYTHON_RANGES = {
    DataType.TIMESTAMP: (-62_135_596_800_000_000, 253_402_300_799_999_999),
    DataType.DATE: (date.min.toordinal() - _UNIX_DAY, date.max.toordinal() - _UNIX_DAY),
}


def _date(days: int) -> date:
    return date.fromordinal(days + _UNIX_DAY)


_INSTANTS: dict[DataType, Any] = {DataType.TIMESTAMP: to_datetime, DataType.DATE: _date}
_SPECIAL = (DataType.STRING, *_INSTANTS)
_FLOAT = np.dtype("<f8")
_FORMS = {DataType.TIMESTAMP: np.dtype("datetime64[us]"), DataType.DATE: np.dtype("datetime64[D]")}
_NULLS = {DataType.STRING: None, DataType.TIMESTAMP: np.datetime64("NaT"), DataType.DATE: np.datetime64("NaT")}


Row = tuple[int, int, Sequence[Any]]
"""Boundary, version and the wanted features' values: None for NULL, instants as UTC datetimes."""


class RowCodec:
    """Rows of one schema; ``wanted`` names the features that decoding gives (None: all), in the schema's order.

    ``zeros`` names those that are 0, not NULL, where an entity has no row: the counts.
    """

    def __init__(
        self, schema: Schema, *, wanted: Collection[str] | None = None, zeros: Collection[str] = frozenset()
    ) -> None:
        self.schema = schema
        width = len(schema.fields)
        self.null_words = max(1, -(-width // 64))
        self.head = 2 + self.null_words
        self.words = self.head + width
        self.size = 8 * self.words
        chosen = [(i, field) for i, field in enumerate(schema) if wanted is None or field.name in wanted]
        self.fields = tuple(field for _, field in chosen)
        self.names = tuple(field.name for field in self.fields)
        self.places = [place for place, _ in chosen]
        """Where the wanted features stand among all: bits of the bitmap and slots."""
        self.has_tail = any(field.type is DataType.STRING for field in schema)
        codes = "".join(_CODES.get(field.type, "q") for field in schema)
        self._unpack = struct.Struct(f"<qq{self.null_words}Q{codes}").unpack_from
        self._special = [(i, field.type) for i, field in enumerate(self.fields) if field.type in _SPECIAL]
        self._is_whole = len(chosen) == width
        self._order = {place: i for i, place in enumerate(self.places)}
        self.nothing = self._nothing(zeros)
        """The row that stands in where an entity has none: its boundary is `NO_BOUNDARY`, its version `NO_VERSION`."""

    def _nothing(self, zeros: Collection[str]) -> bytes:
        nulls = sum(1 << place for place, field in enumerate(self.schema) if field.name not in zeros)
        bitmap = nulls.to_bytes(8 * self.null_words, "little")
        return struct.pack("<qq", NO_BOUNDARY, NO_VERSION) + bitmap + bytes(8 * len(self.schema.fields))

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
        head = self.head
        values: Any = words[head:] if self._is_whole else [words[head + place] for place in self.places]
        if self._special or any(words[2:head]):
            values = self._finish(row, words, list(values))
        return words[0], words[1], values

    def _finish(self, row: bytes, words: Sequence[int], values: list[Any]) -> list[Any]:
        """Strings and instants made of their slots, and NULLs."""
        for i, type_ in self._special:
            slot = values[i]
            if type_ is DataType.STRING:
                start = slot & _LENGTH
                values[i] = row[start : start + (slot >> 32)].decode()
            else:
                values[i] = _INSTANTS[type_](slot)
        for word in range(self.null_words):
            bits = words[2 + word]
            while bits:
                wanted = self._order.get(64 * word + (bits & -bits).bit_length() - 1)
                if wanted is not None:
                    values[wanted] = None
                bits &= bits - 1
        return values

    def block(self, rows: Sequence[bytes | None]) -> RowBlock:
        """Many rows, decoded together; where there is none, `nothing` stands in."""
        return RowBlock(self, [self.nothing if row is None else row for row in rows] if None in rows else rows)  # type: ignore[arg-type]


class RowBlock:
    """Many rows of one view as a matrix of words, shape (rows, words)."""

    def __init__(self, codec: RowCodec, rows: Sequence[bytes]) -> None:
        self._codec = codec
        self.names = codec.names
        self._rows = rows
        whole = b"".join([row[: codec.size] for row in rows] if codec.has_tail else rows)
        self._words = np.frombuffer(whole, "<i8").reshape(len(rows), codec.words)
        self._has_nulls = np.count_nonzero(self._words[:, 2 : codec.head]) > 0

    @property
    def boundaries(self) -> np.ndarray:
        """int64, UTC microseconds; `NO_BOUNDARY` where there is no row."""
        return self._words[:, 0]

    @property
    def versions(self) -> np.ndarray:
        """int64; `NO_VERSION` where there is no row."""
        return self._words[:, 1]

    def values(self) -> list[list[Any]]:
        """Each wanted feature's Python values, None for NULL."""
        codec = self._codec
        floats: list[list[Any]] = self._words[:, codec.head :].view(_FLOAT).T.tolist()
        columns = [
            floats[place] if field.type is DataType.FLOAT64 else self._values(place, field.type)
            for place, field in zip(codec.places, codec.fields, strict=True)
        ]
        if self._has_nulls:
            for place, column in zip(codec.places, columns, strict=True):
                for row in np.flatnonzero(self._nulls(place)).tolist():
                    column[row] = None
        return columns

    def arrays(self) -> list[np.ndarray]:
        """Each wanted feature as one numpy array in the forms of `encoding.to_numpy`."""
        slots = self._words[:, self._codec.head :].T.copy()
        arrays = []
        for place, field in zip(self._codec.places, self._codec.fields, strict=True):
            array = self._array(slots[place], place, field.type)
            if self._has_nulls:
                array[self._nulls(place)] = _NULLS.get(field.type, np.nan)
            arrays.append(array)
        return arrays

    def _nulls(self, place: int) -> np.ndarray:
        word = self._words[:, 2 + place // 64]
        nulls: np.ndarray = (word >> (place % 64)) & 1 != 0
        return nulls

    def _values(self, place: int, type_: DataType) -> list[Any]:
        values: list[Any] = self._words[:, self._codec.head + place].tolist()
        if type_ is DataType.BOOL:
            return list(map(bool, values))
        if type_ is DataType.STRING:
            return [
                row[slot & _LENGTH : (slot & _LENGTH) + (slot >> 32)].decode()
                for row, slot in zip(self._rows, values, strict=True)
            ]
        convert = _INSTANTS.get(type_)
        return values if convert is None else list(map(convert, values))

    def _array(self, slots: np.ndarray, place: int, type_: DataType) -> np.ndarray:
        if type_ is DataType.FLOAT64:
            return slots.view(_FLOAT)
        if type_ is DataType.STRING:
            return np.array(self._values(place, type_), dtype=object)
        return slots.astype(_FORMS.get(type_, _FLOAT))


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
