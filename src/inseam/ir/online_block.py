"""Many online rows of one view, decoded together by column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from inseam.ir.online_row import INSTANTS, RowCodec, text_of
from inseam.kernel.types import DataType

_FLOAT = np.dtype("<f8")
_FORMS = {DataType.TIMESTAMP: np.dtype("datetime64[us]"), DataType.DATE: np.dtype("datetime64[D]")}
_NULLS = {DataType.STRING: None, DataType.TIMESTAMP: np.datetime64("NaT"), DataType.DATE: np.datetime64("NaT")}


class RowBlock:
    """Rows as a matrix of words, shape (rows, words); where there is none, the codec's ``nothing`` stands in."""

    def __init__(self, codec: RowCodec, found: Sequence[bytes | None]) -> None:
        self._codec = codec
        self.names = codec.names
        rows: Sequence[bytes] = [row or codec.nothing for row in found]
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
        versions: np.ndarray = self._words.view("<i4")[:, 2].astype(np.int64)
        return versions

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
            return list(map(text_of, self._rows, values))
        convert = INSTANTS.get(type_)
        return values if convert is None else list(map(convert, values))

    def _array(self, slots: np.ndarray, place: int, type_: DataType) -> np.ndarray:
        if type_ is DataType.FLOAT64:
            return slots.view(_FLOAT)
        if type_ is DataType.STRING:
            return np.array(self._values(place, type_), dtype=object)
        return slots.astype(_FORMS.get(type_, _FLOAT))
