"""One entity's online rows, one a view, decoded together: for `struct` they are one row."""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Any

from inseam.ir.online_row import INSTANTS, RowCodec, text_of
from inseam.kernel.types import DataType

Heads = tuple[Any, ...]
"""Boundary, version and layout of the first row, of the second, and so on."""


class UnknownLayoutError(Exception):
    """A row has another layout than its codec."""


class EntityCodec:
    """Decodes one row of each of some views; ``names`` are all their wanted features, in order."""

    def __init__(self, codecs: Sequence[RowCodec]) -> None:
        self.names = tuple(name for codec in codecs for name in codec.names)
        self._nothing = [codec.nothing for codec in codecs]
        self._layouts = tuple(codec.layout for codec in codecs)
        self._sizes = [codec.size for codec in codecs]
        self._size = sum(self._sizes)
        self._has_tail = any(codec.has_tail for codec in codecs)
        self._heads = Struct("<" + "".join(f"qi4s{codec.size - 16}x" for codec in codecs)).unpack
        self._bitmaps = Struct("<" + "".join(_bitmap(codec) for codec in codecs)).unpack
        self._slots = Struct("<" + "".join(codec.codes for codec in codecs)).unpack
        self._bits = _bits(codecs)
        types = [(row, field.type) for row, codec in enumerate(codecs) for field in codec.fields]
        self._texts = [(i, row) for i, (row, type_) in enumerate(types) if type_ is DataType.STRING]
        self._instants = [(i, INSTANTS[type_]) for i, (_, type_) in enumerate(types) if type_ in INSTANTS]
        self._has_special = bool(self._texts or self._instants)

    def decode(self, found: Sequence[bytes | None]) -> tuple[Heads, dict[str, Any]]:
        """The heads, and the values by feature (None for NULL, instants as UTC datetimes).

        Where there is no row the codec's ``nothing`` stands in. `UnknownLayoutError` when a row has another layout.
        """
        # No row is empty, so that only None is not true.
        rows: Any = found if all(found) else [row or self._nothing[place] for place, row in enumerate(found)]
        fixed = [row[:size] for row, size in zip(rows, self._sizes, strict=True)] if self._has_tail else rows
        whole = b"".join(fixed)
        if len(whole) != self._size:
            raise UnknownLayoutError
        heads = self._heads(whole)
        if heads[2::3] != self._layouts:
            raise UnknownLayoutError
        values: Sequence[Any] = self._slots(whole)
        bitmaps = self._bitmaps(whole)
        if self._has_special or any(bitmaps):
            values = self._finish(rows, list(values), bitmaps)
        return heads, dict(zip(self.names, values, strict=True))

    def _finish(self, rows: Sequence[bytes], values: list[Any], bitmaps: Sequence[int]) -> list[Any]:
        """Strings and instants made of their slots, and NULLs."""
        for i, row in self._texts:
            values[i] = text_of(rows[row], values[i])
        for i, instant in self._instants:
            values[i] = instant(values[i])
        for i, word, bit in self._bits:
            if bitmaps[word] & bit:
                values[i] = None
        return values


def _bitmap(codec: RowCodec) -> str:
    return f"16x{codec.null_words}Q{codec.size - 8 * codec.head}x"


def _bits(codecs: Sequence[RowCodec]) -> list[tuple[int, int, int]]:
    """For each wanted feature its place, and where its NULL stands: the word among all bitmaps, and the bit."""
    bits = []
    first = 0
    for codec in codecs:
        bits += [(first + place // 64, 1 << place % 64) for place in codec.places]
        first += codec.null_words
    return [(i, word, bit) for i, (word, bit) in enumerate(bits)]
