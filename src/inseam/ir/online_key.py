"""The bytes of an online row's key: unambiguous, bounded, the same from one request and from an Arrow batch.

Fixed-width fields stand in order (int64 and timestamp: 8 bytes, date: 4, bool: 1; big-endian). A key with strings
starts with a tag: 0, then the fields, strings as UTF-8, then the lengths of all strings but the last (2 bytes each).
When that text is longer than `MAX_KEY` bytes the key is 1 and 32 bytes of BLAKE2b over the fields and their lengths:
nobody can find two keys with one such digest, so rows needn't repeat their keys.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from datetime import date, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np

from inseam.kernel.clock import from_datetime
from inseam.kernel.errors import DataError, DefinitionError
from inseam.kernel.types import DataType, Field, Schema

if TYPE_CHECKING:
    import pyarrow as pa

MAX_KEY = 511
"""The longest key in bytes: what LMDB holds."""
NO_KEY = b"\xff"
"""What an entity with a NULL in its key gets: no row ever has this key."""

_UNIX_DAY = date(1970, 1, 1).toordinal()
_PLAIN, _HASHED = b"\x00", b"\x01"


_int = struct.Struct(">q").pack


def _bool(value: Any) -> bytes:
    if not isinstance(value, bool | np.bool_):
        raise TypeError(value)
    return b"\x01" if value else b"\x00"


def _date(value: Any) -> bytes:
    if isinstance(value, datetime):
        raise TypeError(value)
    return struct.pack(">i", value.toordinal() - _UNIX_DAY if isinstance(value, date) else value)


def _timestamp(value: Any) -> bytes:
    return struct.pack(">q", from_datetime(value) if isinstance(value, datetime) else value)


def _string(value: Any) -> bytes:
    return bytes(value.encode())


_ENCODERS: dict[DataType, Callable[[Any], bytes]] = {
    DataType.INT64: _int,
    DataType.BOOL: _bool,
    DataType.DATE: _date,
    DataType.TIMESTAMP: _timestamp,
    DataType.STRING: _string,
}
_WIDTHS = {DataType.INT64: ">i8", DataType.BOOL: ">i1", DataType.DATE: ">i4", DataType.TIMESTAMP: ">i8"}
_FAULTS = (struct.error, TypeError, ValueError, AttributeError, OverflowError)


class KeyCodec:
    """Keys of one combination of key fields. A float field is a `DefinitionError`: equal keys must have equal bytes."""

    def __init__(self, schema: Schema) -> None:
        for field in schema:
            if field.type not in _ENCODERS:
                raise DefinitionError(
                    f"key {field.name!r}",
                    f"its type is {field.type}",
                    expected="int64, string, bool, date or timestamp",
                )
        self.schema = schema
        self._encoders = [_ENCODERS[field.type] for field in schema]
        self._strings = [place for place, field in enumerate(schema) if field.type is DataType.STRING]
        self._only = self._encoders[0] if len(self._encoders) == 1 and not self._strings else None
        is_words = all(encode in (_int, _timestamp) for encode in self._encoders)
        self._words = struct.Struct(f">{len(self._encoders)}q").pack if is_words else None
        """Packs whole keys of integers and instants; whatever it does not take goes field by field."""
        self._prefix = _PLAIN if self._strings else b""

    def one(self, values: Sequence[Any]) -> bytes:
        """The key of one entity from its fields' Python values; `NO_KEY` when one is None, `DataError` for a misfit.

        A date may come as days and an instant as UTC microseconds since the epoch, as plain integers.
        """
        if self._words is not None:
            try:
                return self._words(*values)
            except _FAULTS:
                pass
        try:
            if None in values:
                return NO_KEY
            return self._join([encode(value) for encode, value in zip(self._encoders, values, strict=True)])
        except _FAULTS:
            raise self._misfit(values) from None

    def many(self, entities: Sequence[Sequence[Any]]) -> list[bytes]:
        """`one` for each entity."""
        if self._only is not None:
            only = self._only
            try:
                return [NO_KEY if value is None else only(value) for (value,) in entities]
            except _FAULTS:
                pass  # the slow way names the entity that does not fit
        return [self.one(values) for values in entities]

    def batch(self, batch: pa.RecordBatch) -> list[bytes]:
        """The keys of a batch's rows, from its columns of the fields' names, which hold no NULL."""
        import pyarrow as pa
        import pyarrow.compute as pc

        parts = [_column(batch.column(field.name), field) for field in self.schema]
        lengths = [_fixed(pc.binary_length(parts[place]).to_numpy().astype(">u2"), 2) for place in self._strings[:-1]]
        prefix = [pa.scalar(self._prefix, pa.binary())] if self._strings else []
        joined = pc.binary_join_element_wise(*prefix, *parts, *lengths, pa.scalar(b"", pa.binary()))
        keys: list[bytes] = joined.to_pylist()
        for place in np.flatnonzero(pc.binary_length(joined).to_numpy() > MAX_KEY).tolist():
            keys[place] = self._long([part[place].as_py() for part in parts])
        return keys

    def _join(self, parts: list[bytes]) -> bytes:
        plain = b"".join((self._prefix, *parts))
        lengths = [len(parts[place]) for place in self._strings[:-1]]
        if len(plain) + 2 * len(lengths) > MAX_KEY:
            return self._long(parts)
        return plain + struct.pack(f">{len(lengths)}H", *lengths)

    def _long(self, parts: list[bytes]) -> bytes:
        text = b"".join((self._prefix, *parts, struct.pack(f">{len(parts)}Q", *map(len, parts))))
        return _HASHED + blake2b(text, digest_size=32).digest()

    def _misfit(self, values: Sequence[Any]) -> DataError:
        if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != len(self._encoders):
            return DataError("entity", f"{values!r}", expected=f"the values of {', '.join(self.schema.names)}")
        for field, encode, value in zip(self.schema, self._encoders, values, strict=True):
            try:
                encode(value)
            except _FAULTS:
                return DataError(f"key {field.name!r}", f"{value!r}", expected=str(field.type))
        return DataError("entity", f"{values!r}", expected=f"the values of {', '.join(self.schema.names)}")


def _column(column: pa.Array, field: Field) -> pa.Array:
    """A key column as binary: UTF-8, or big-endian of the field's width."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from inseam.kernel.types import arrow_type

    column = pc.cast(column, arrow_type(field.type))
    if field.type is DataType.STRING:
        return pc.cast(column, pa.binary())
    width = np.dtype(_WIDTHS[field.type])
    whole = {DataType.DATE: pa.int32(), DataType.BOOL: pa.int8()}.get(field.type, pa.int64())
    return _fixed(pc.cast(column, whole).to_numpy().astype(width), width.itemsize)


def _fixed(values: np.ndarray, width: int) -> pa.Array:
    import pyarrow as pa

    buffers = [None, pa.py_buffer(np.ascontiguousarray(values))]
    return pa.Array.from_buffers(pa.binary(width), len(values), buffers).cast(pa.binary())
