"""One entity's online rows, one a view, decoded together: for `struct` they are one row."""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Any

from inseam.ir.online_row import INSTANTS, LAYOUT, RowCodec, text_of
from inseam.kernel.types import DataType

Heads = tuple[Any, ...]
"""Boundary, version, and layout with NULL bitmap, of the first row, of the second, and so on."""
HEAD_FIELDS = 3
_LAYOUT_BYTES = LAYOUT.stop - LAYOUT.start


class UnknownLayoutError(Exception):
    """A row has another layout than its codec."""


class EntityCodec:
    """Decodes one row of each of some views; ``names`` are all their wanted features, in order."""

    def __init__(self, codecs: Sequence[RowCodec]) -> None:
        self.names = tuple(name for codec in codecs for name in codec.names)
        self._nothing = [codec.nothing for codec in codecs]
        self._layouts = [codec.layout for codec in codecs]
        self._no_nulls = tuple(codec.layout + bytes(8 * codec.null_words) for codec in codecs)
        self._sizes = [codec.size for codec in codecs]
        self._size = sum(self._sizes)
        self._has_tail = any(codec.has_tail for codec in codecs)
        self._heads = Struct("<" + "".join(_head(codec) for codec in codecs)).unpack
        self._slots = Struct("<" + "".join(codec.codes for codec in codecs)).unpack
        places = [(row, place) for row, codec in enumerate(codecs) for place in codec.places]
        self._bits = [(i, row, _LAYOUT_BYTES + place // 8, 1 << place % 8) for i, (row, place) in enumerate(places)]
        types = [(row, field.type) for row, codec in enumerate(codecs) for field in codec.fields]
        self._texts = [(i, row) for i, (row, type_) in enumerate(types) if type_ is DataType.STRING]
        self._instants = [(i, INSTANTS[type_]) for i, (_, type_) in enumerate(types) if type_ in INSTANTS]
        self._has_special = bool(self._texts or self._instants)

    def decode(self, found: Sequence[bytes | None]) -> tuple[Heads, dict[str, Any]]:
        """The heads, and the values by feature (None for NULL, instants as UTC datetimes).

        Where there is no row the codec's ``nothing`` stands in. `UnknownLayoutError` when a row has another layout.
        """
        rows: Any = found
        if None in found:
            rows = [row or self._nothing[place] for place, row in enumerate(found)]
        fixed = [row[:size] for row, size in zip(rows, self._sizes, strict=True)] if self._has_tail else rows
        whole = b"".join(fixed)
        if len(whole) != self._size:
            raise UnknownLayoutError
        heads = self._heads(whole)
        values: Sequence[Any] = self._slots(whole)
        marks = heads[2::HEAD_FIELDS]
        if self._has_special or marks != self._no_nulls:
            if [mark[:_LAYOUT_BYTES] for mark in marks] != self._layouts:
                raise UnknownLayoutError
            values = self._finish(rows, list(values), marks)
        return heads, dict(zip(self.names, values))  # noqa: B905 - as many as there are slots, and faster unchecked

    def _finish(self, rows: Sequence[bytes], values: list[Any], marks: Sequence[bytes]) -> list[Any]:
        """Strings and instants made of their slots, and NULLs."""
        for i, row in self._texts:
            values[i] = text_of(rows[row], values[i])
        for i, instant in self._instants:
            values[i] = instant(values[i])
        for i, row, byte, bit in self._bits:
            if marks[row][byte] & bit:
                values[i] = None
        return values


def _head(codec: RowCodec) -> str:
    mark = _LAYOUT_BYTES + 8 * codec.null_words
    return f"qi{mark}s{codec.size - LAYOUT.start - mark}x"
