"""A pushed row as the stream log keeps it: cells by column's name, instants in UTC microseconds, no cell for NULL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from inseam.kernel.types import DataType, Schema, arrow_type

if TYPE_CHECKING:
    import pyarrow as pa

_KEPT: dict[DataType, type] = {
    DataType.BOOL: bool,
    DataType.INT64: int,
    DataType.FLOAT64: float,
    DataType.STRING: str,
    DataType.TIMESTAMP: int,
    DataType.DATE: int,
}


class UnreadableError(ValueError):
    """A payload that is no row of the schema; ``text``: what came instead."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(reason)
        self.text = text


_REFUSED = msgspec.msgpack.Decoder(tuple[str, str])


def refused(reason: str, message: bytes) -> bytes:
    """What the log keeps in the place of a message that is no row: `StreamRowCodec.decode` raises it."""
    return msgspec.msgpack.encode((reason, message.decode(errors="replace")))


class StreamRowCodec:
    """Rows of a schema to and from payloads. A payload may lack columns (they are NULL) and have others besides."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        fields = [(f"c{place}", _KEPT[field.type] | None, None) for place, field in enumerate(schema)]
        names = {f"c{place}": field.name for place, field in enumerate(schema)}
        self._row = msgspec.defstruct("StreamRow", fields, rename=names, omit_defaults=True)
        self._decode = msgspec.msgpack.Decoder(self._row).decode
        self._encode = msgspec.msgpack.Encoder().encode

    def encode(self, cells: Iterable[Any]) -> bytes:
        """Cells in the schema's order; instants in UTC microseconds, dates in days since 1970."""
        return self._encode(self._row(*cells))

    def decode(self, payload: bytes) -> tuple[Any, ...]:
        """The cells that `encode` was given; `UnreadableError` for one of another type, or `refused`."""
        try:
            return msgspec.structs.astuple(self._decode(payload))
        except msgspec.DecodeError as error:
            raise _unreadable(payload, str(error)) from None

    def batch(self, rows: Sequence[tuple[Any, ...]]) -> pa.RecordBatch:
        """Decoded rows as columns of the schema's Arrow types."""
        import pyarrow as pa

        kept = zip(*rows, strict=True) if rows else ((),) * len(self._schema.fields)
        columns = []
        for field, cells in zip(self._schema, kept, strict=True):
            is_number = field.type in (DataType.TIMESTAMP, DataType.DATE)
            number = pa.int64() if field.type is DataType.TIMESTAMP else pa.int32()
            column = pa.array(cells, number if is_number else arrow_type(field.type))
            columns.append(column.cast(arrow_type(field.type)))
        return pa.record_batch(columns, schema=self._schema.to_arrow())


def _unreadable(payload: bytes, reason: str) -> UnreadableError:
    try:
        return UnreadableError(*_REFUSED.decode(payload))
    except msgspec.DecodeError:
        return UnreadableError(reason, payload.decode(errors="replace"))
