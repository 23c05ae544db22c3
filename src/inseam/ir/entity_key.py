"""The key of one entity, as it is given: texts, which each table's columns read in their own types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from inseam.kernel import clock
from inseam.kernel.types import DataType, Schema

if TYPE_CHECKING:
    import pyarrow.compute as pc

_SQL = {DataType.DATE: "DATE '{}'", DataType.TIMESTAMP: "TIMESTAMPTZ '{}'"}


def value_of(text: str, type_: DataType) -> Any:
    """The value that a text stands for; ValueError when it is none of the type."""
    match type_:
        case DataType.INT64:
            return int(text)
        case DataType.FLOAT64:
            return float(text)
        case DataType.BOOL:
            if text.lower() not in ("true", "false"):
                raise ValueError(text)
            return text.lower() == "true"
        case DataType.DATE:
            return date.fromisoformat(text)
        case DataType.TIMESTAMP:
            return clock.to_datetime(clock.parse_instant(text))
        case DataType.STRING:
            return text


@dataclass(frozen=True)
class EntityKey:
    """``cells``: a text for each of the key's columns, in their order, as a column of ``schema`` would have it."""

    entity: str
    cells: dict[str, str]
    schema: Schema

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.cells)

    def within(self, schema: Schema, prefix: str = "") -> dict[str, list[Any]] | None:
        """The columns of a table that hold the key, each with its value; None when no row of it can have the key."""
        found: dict[str, list[Any]] = {}
        for name, text in self.cells.items():
            type_ = schema.type_of(prefix + name)
            try:
                found[prefix + name] = [] if type_ is None else [value_of(text, type_)]
            except ValueError:
                return None
        return found if all(found.values()) else None

    def condition(self, schema: Schema) -> str:
        """SQL that is true for the rows of a relation, of which `within` gives columns."""
        return " AND ".join(_equals(name, text, schema.type_of(name)) for name, text in self.cells.items())

    def is_in(self, names: Iterable[str]) -> bool:
        """Whether all of the key's columns are among these."""
        return set(self.columns) <= set(names)


def _equals(name: str, text: str, type_: DataType | None) -> str:
    quoted = text.replace("'", "''")
    literal = text if type_ in (DataType.INT64, DataType.FLOAT64, DataType.BOOL) else f"'{quoted}'"
    column = name.replace('"', '""')
    return f'"{column}" = {_SQL.get(type_, "{}").format(quoted) if type_ in _SQL else literal}'


def rows_of(cells: Mapping[str, Sequence[Any]]) -> pc.Expression:
    """Arrow's condition for the rows whose cell in each column is the first of those given."""
    import pyarrow.compute as pc

    whole = pc.scalar(True)
    for name, (value, *_) in cells.items():
        whole &= pc.field(name) == value
    return whole
