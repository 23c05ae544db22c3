"""The bytes of an online row: 8-byte words, so that many rows together are one matrix.

    word 0        boundary, int64, UTC microseconds
    word 1        version of the table's snapshot, int32, and 4 bytes of the layout's digest
    next words    NULL bitmap, 64 features a word, bit i of word i // 64 is feature i
    next words    one slot a feature: float64 | int64 | bool as 0 or 1 | timestamp in microseconds | date in days
                  | string as its offset in the row (low 32 bits) and its length in bytes (high 32 bits)
    tail          the strings' UTF-8

All little-endian. The slot of a NULL is 0. Floats keep every bit. A reader that knows another layout sees it in the row
itself: it never takes the bits of one feature for another's.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Collection, Mapping
from datetime import date
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np

from inseam.kernel.clock import to_datetime
from inseam.kernel.errors import DataError
from inseam.kernel.types import DataType, Schema, arrow_type

if TYPE_CHECKING:
    import pyarrow as pa

NO_BOUNDARY = -(1 << 63)
"""Stands for the boundary of a row that is not there: no instant, and NaT to numpy."""
NO_VERSION = -1
LAYOUT = slice(12, 16)
"""Where a row names its layout."""
_CODES = {DataType.FLOAT64: "d", DataType.BOOL: "?7x", DataType.STRING: "Q"}
_UNIX_DAY = date(1970, 1, 1).toordinal()
_LENGTH = (1 << 32) - 1
_PYTHON_RANGES = {
    DataType.TIMESTAMP: (-62_135_596_800_000_000, 253_402_300_799_999_999),
    DataType.DATE: (date.min.toordinal() - _UNIX_DAY, date.max.toordinal() - _UNIX_DAY),
}


def _date(days: int) -> date:
    return date.fromordinal(days + _UNIX_DAY)


def text_of(row: bytes, slot: int) -> str:
    """The string that a slot of this row stands for."""
    start = slot & _LENGTH
    return row[start : start + (slot >> 32)].decode()


INSTANTS: Mapping[DataType, Callable[[int], Any]] = {DataType.TIMESTAMP: to_datetime, DataType.DATE: _date}
"""How the slots of instants become Python's values."""


class RowCodec:
    """The layout of one view's rows; ``wanted`` names the features that decoding gives (None: all), in its order.

    ``zeros`` names those that are 0, not NULL, where an entity has no row: the counts. Rows are decoded for one entity
    over all its views by `online_entity`, and many at once by `online_block`.
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
        self.layout = blake2b(json.dumps([(f.name, f.type) for f in schema]).encode(), digest_size=4).digest()
        chosen = [(place, field) for place, field in enumerate(schema) if wanted is None or field.name in wanted]
        self.places = [place for place, _ in chosen]
        """Where the wanted features stand among all: bits of the bitmap and slots."""
        self.fields = tuple(field for _, field in chosen)
        self.names = tuple(field.name for field in self.fields)
        self.has_tail = any(field.type is DataType.STRING for field in schema)
        codes = [_CODES.get(field.type, "q") if place in self.places else "8x" for place, field in enumerate(schema)]
        self.codes = f"{8 * self.head}x{''.join(codes)}"
        """The wanted slots of a row for `struct`."""
        nulls = sum(1 << place for place, field in enumerate(schema) if field.name not in zeros)
        start = struct.pack("<qi4s", NO_BOUNDARY, NO_VERSION, self.layout)
        self.nothing = start + nulls.to_bytes(8 * self.null_words, "little") + bytes(8 * width)
        """The row that stands in where an entity has none: its boundary is `NO_BOUNDARY`, its version `NO_VERSION`."""

    def encode(self, batch: pa.RecordBatch, boundary: int, version: int) -> list[bytes]:
        """The rows of a batch, from its columns of the features' names. `DataError` for instants beyond the years 1 to
        9999, which no reader could name."""
        rows = batch.num_rows
        words = np.zeros((rows, self.words), "<i8")
        words[:, 0] = boundary
        words[:, 1] = struct.unpack("<q", struct.pack("<i4s", version, self.layout))[0]
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
