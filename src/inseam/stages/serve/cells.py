"""Columns between their three forms: structs of a request, numpy arrays for a model, bytes for the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from inseam.kernel.clock import from_datetime
from inseam.kernel.types import DataType, Field
from inseam.stages.serve.record import NO_INSTANT, Packed

_UNITS = {DataType.TIMESTAMP: "datetime64[us]", DataType.DATE: "datetime64[D]"}
_EPOCH_DAY = 719_163


class Cells:
    """Some fields of one endpoint. What depends on their types is worked out once and not at every request.

    A column of *values* is plain: None for NULL, instants as UTC microseconds, dates as days since the epoch. A column
    of *arrays* has the form of `encoding.to_numpy`.
    """

    def __init__(self, fields: Sequence[Field]) -> None:
        self.names = tuple(field.name for field in fields)
        self._is_empty = not fields
        # attrgetter gives a bare value for one name and a tuple for more: a name too many makes it always a tuple.
        self._get = attrgetter(*self.names, "__class__")
        self._instants = [
            (place, _instant if field.type is DataType.TIMESTAMP else _day)
            for place, field in enumerate(fields)
            if field.type in _UNITS
        ]
        self._numbers = [(place, field.name) for place, field in enumerate(fields) if field.type.is_numeric]
        self._others = [(place, field) for place, field in enumerate(fields) if not field.type.is_numeric]
        self._packers = [(field.name, _packer(field.type)) for field in fields]

    def values(self, rows: Sequence[Any]) -> list[Sequence[Any]]:
        """A column of plain values a field, from structs that have them as attributes."""
        if self._is_empty or not rows:
            return [[] for _ in self.names]
        columns: list[Sequence[Any]] = [*zip(*map(self._get, rows), strict=True)]
        columns.pop()
        for place, convert in self._instants:
            columns[place] = [None if value is None else convert(value) for value in columns[place]]
        return columns

    def arrays(self, values: Sequence[Sequence[Any]]) -> dict[str, np.ndarray]:
        """The arrays of columns of values, by name; the numbers in one conversion."""
        arrays: dict[str, np.ndarray] = {}
        if self._numbers:
            block = np.array([values[place] for place, _ in self._numbers], np.float64)
            arrays.update(zip((name for _, name in self._numbers), block, strict=True))
        for place, field in self._others:
            arrays[field.name] = to_array(values[place], field.type)
        return arrays

    def pack(self, arrays: Mapping[str, np.ndarray]) -> list[Packed]:
        """The columns as the prediction log holds them."""
        return [pack(arrays[name]) for name, pack in self._packers]


def to_array(values: Sequence[Any], type_: DataType) -> np.ndarray:
    """A column of plain values in the form of `encoding.to_numpy`."""
    if type_ is DataType.STRING:
        array = np.empty(len(values), object)
        array[:] = values
        return array
    if type_ in _UNITS:
        ticks = np.array([NO_INSTANT if value is None else value for value in values], np.int64)
        return ticks.view(_UNITS[type_])
    return np.array(values, np.float64)


def _instant(value: Any) -> int:
    return from_datetime(value)


def _day(value: Any) -> int:
    return int(value.toordinal()) - _EPOCH_DAY


def _packer(type_: DataType) -> Callable[[np.ndarray], Packed]:
    if type_ is DataType.STRING:
        return lambda array: list(array.tolist())
    if type_ in _UNITS:
        unit = _UNITS[type_]
        return lambda array: array.astype(unit).tobytes()
    return lambda array: array.astype(np.float64, copy=False).tobytes()
