"""One place that reads a column as a type, and the inference of types from all records of a first load."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as at

from inseam.kernel.types import DataType, Schema, data_type
from inseam.stages.ingest.cast import Faults, has_no_type, numbers, plain, pointed
from inseam.stages.ingest.cells import Cells
from inseam.stages.ingest.finding import Findings
from inseam.stages.ingest.instants import dates, timestamps, within_years
from inseam.stages.ingest.notation import Notation

_LEADING_ZERO = r"^[+-]?0[0-9]"
_BOOL = r"(?i)^(true|false)$"
_LONG_INTEGER = r"^\s*[+-]?([0-9],?){16,}\s*$"
_EXACT = 1 << 53
"""Up to here float64 holds every integer."""
_ORDER = (DataType.BOOL, DataType.INT64, DataType.FLOAT64, DataType.DATE, DataType.TIMESTAMP)
_NUMBERS = (DataType.INT64, DataType.FLOAT64)
_DAYS = (DataType.DATE, DataType.TIMESTAMP)
_WIDER = {
    frozenset((DataType.INT64, DataType.FLOAT64)): DataType.FLOAT64,
    frozenset((DataType.DATE, DataType.TIMESTAMP)): DataType.TIMESTAMP,
}


def read_as(column: pa.Array, type_: DataType, notation: Notation) -> tuple[pa.Array, Faults]:
    """The column in the Arrow type of ``type_``; faults name the rows whose cells have no such value."""
    column = plain(column)
    if type_ is DataType.STRING:
        return (column if at.is_string(column.type) else column.cast(pa.string())), {}
    if type_ is DataType.TIMESTAMP:
        return within_years(*timestamps(column, notation))
    if type_ is DataType.DATE:
        return within_years(*dates(column, notation))
    return numbers(column, type_, notation.decimal)


class Inference:
    """Finds the narrowest type that holds every cell of each column.

    Digits with a leading zero are a name, not a number, and stay a string; a decimal point makes a float; only ``true``
    and ``false`` make a bool. Integers of which neither int64 nor float64 would hold every digit stay strings.
    A column without a cell, or of nested values, is a string.
    """

    def __init__(self, timestamp: str, notation: Notation) -> None:
        self._notation = notation
        self._timestamp = timestamp
        self._types: dict[str, DataType | None] = {}
        self._long: set[str] = set()
        """Columns with an integer that float64 may not hold, met while they were numbers."""
        self._floats: set[str] = set()
        """Columns that are float64, or were before they became strings."""
        self.kept: list[str] = []
        """Columns that are strings for the sake of their integers' digits."""
        self.texts: dict[str, pa.DataType] = {}
        """Columns that are strings for want of a type of ours."""
        self._rows = 0

    def see(self, cells: Cells) -> None:
        self._rows += cells.rows
        for name, column in cells.columns.items():
            held = self._types.setdefault(name, DataType.TIMESTAMP if name == self._timestamp else None)
            if has_no_type(column.type):
                self.texts[name] = column.type
                self._types[name] = DataType.STRING
            elif name != self._timestamp and held is not DataType.STRING:
                self._types[name] = self._widened(name, held, plain(column), is_text=cells.is_text)

    def join(self, later: Inference) -> bool:
        """Take in what is known of the blocks that follow; False where only reading them in their order would tell.

        That is where days meet another type: eight digits are a day or a number, as the cells before them say.
        """
        texts = self.texts | later.texts
        for name, found in later._types.items():
            held = self._types.get(name)
            if held is None or found is None:
                self._types[name] = held or found
                self.kept += [name] * (held is None and name in later.kept)
                continue
            if held is not found and name not in texts and not {held, found}.isdisjoint(_DAYS):
                return False
            joined = _join(held, found)
            is_both = name in self._long | later._long and name in self._floats | later._floats
            if held in _NUMBERS and (is_both or name in later.kept):
                joined = DataType.STRING
                self.kept.append(name)
            self._types[name] = joined
        self.texts = texts
        self._long |= later._long
        self._floats |= later._floats
        self._rows += later._rows
        return True

    def schema(self, findings: Findings) -> Schema:
        """The columns in the order in which they were first seen; none when there was no row: nothing is known then."""
        for name in self.kept:
            told = f"{name}: it has integers of more digits than numbers hold, and is read as string"
            findings.add("columns.digits", "schema", "warn", 1, [told])
        for name, type_ in self.texts.items():
            findings.add("columns.texts", "schema", "warn", 1, [f"{name}: {type_} is read as string"])
        if not self._rows:
            return Schema(())
        return Schema.of((name, type_ or DataType.STRING) for name, type_ in self._types.items())

    def _widened(self, name: str, held: DataType | None, column: pa.Array, *, is_text: bool) -> DataType | None:
        if column.null_count == len(column):
            return held
        joined = self._joined(held, column, is_text=is_text)
        if joined not in _NUMBERS:
            return joined
        if _has_long_integer(pointed(column, self._notation.decimal) if is_text else column, is_text=is_text):
            self._long.add(name)
        if joined is DataType.FLOAT64:
            self._floats.add(name)
        if name not in self._long & self._floats:
            return joined
        self.kept.append(name)
        return DataType.STRING

    def _joined(self, held: DataType | None, column: pa.Array, *, is_text: bool) -> DataType:
        if not (is_text and at.is_string(column.type)):
            return _join(held, _type_of(column))
        if held is not None and self._holds(held, column):
            return held
        # A narrower type than the one held may fit this block: both together decide.
        found = next((type_ for type_ in _ORDER if self._holds(type_, column)), DataType.STRING)
        joined = _join(held, found)
        return joined if self._holds(joined, column) else DataType.STRING

    def _holds(self, type_: DataType, column: pa.Array) -> bool:
        """Whether every cell has a value of the type. A first look at few cells spares most columns the rest."""
        if type_ is DataType.STRING:
            return True
        head = column.slice(0, 64)
        return self._holds_all(type_, head) and (len(column) <= 64 or self._holds_all(type_, column))

    def _holds_all(self, type_: DataType, column: pa.Array) -> bool:
        if type_ is DataType.BOOL:
            return bool(pc.all(pc.match_substring_regex(column, _BOOL)).as_py())
        if type_.is_numeric and pc.any(pc.match_substring_regex(column, _LEADING_ZERO)).as_py():
            return False
        if type_ is DataType.INT64 and pc.any(pc.match_substring(column, self._notation.decimal)).as_py():
            return False
        return not read_as(column, type_, self._notation)[1]


def _has_long_integer(column: pa.Array, *, is_text: bool) -> bool:
    if at.is_integer(column.type):
        bounds = pc.min_max(column).as_py()
        return bool(bounds["min"] < -_EXACT or bounds["max"] > _EXACT)
    if not is_text or not at.is_string(column.type) or pc.max(pc.binary_length(column)).as_py() < 16:
        return False
    return bool(pc.any(pc.match_substring_regex(column, _LONG_INTEGER)).as_py())


def _type_of(column: pa.Array) -> DataType:
    """The type of a column that has one; whole numbers beyond int64 are strings."""
    is_whole = at.is_uint64(column.type) or (at.is_decimal(column.type) and column.type.scale <= 0)
    if not is_whole:
        return data_type(column.type)
    try:
        pc.cast(column, pa.int64())
    except pa.ArrowInvalid:
        return DataType.STRING
    return DataType.INT64


def _join(held: DataType | None, found: DataType) -> DataType:
    if held is None or held is found:
        return found
    return _WIDER.get(frozenset((held, found)), DataType.STRING)


def seen(blocks: Iterable[Cells], timestamp: str, notation: Notation) -> Inference:
    """What these blocks say of their columns' types."""
    inference = Inference(timestamp, notation)
    for block in blocks:
        inference.see(block)
    return inference
