"""Column types and schemas, and their one mapping to and from Arrow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


class DataType(StrEnum):
    """The types a column can have. Decimals are read as float64; instants are UTC microseconds."""

    BOOL = "bool"
    INT64 = "int64"
    FLOAT64 = "float64"
    STRING = "string"
    TIMESTAMP = "timestamp"
    DATE = "date"

    @property
    def is_numeric(self) -> bool:
        return self in (DataType.INT64, DataType.FLOAT64, DataType.BOOL)


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    type: DataType


@dataclass(frozen=True, slots=True)
class Schema:
    """Columns in order. Every column may hold NULL; that it may not is a check, not a type."""

    fields: tuple[Field, ...]

    @classmethod
    def of(cls, columns: Iterable[tuple[str, DataType | str]]) -> Schema:
        return cls(tuple(Field(name, DataType(type_)) for name, type_ in columns))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields)

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields)

    def __contains__(self, name: object) -> bool:
        return any(field.name == name for field in self.fields)

    def type_of(self, name: str) -> DataType | None:
        return next((field.type for field in self.fields if field.name == name), None)

    def to_arrow(self) -> pa.Schema:
        import pyarrow as pa

        return pa.schema([pa.field(field.name, arrow_type(field.type)) for field in self.fields])

    @classmethod
    def from_arrow(cls, schema: pa.Schema) -> Schema:
        return cls(tuple(Field(field.name, data_type(field.type)) for field in schema))


def arrow_type(type_: DataType) -> pa.DataType:
    """The Arrow type in which a column of ``type_`` is stored."""
    import pyarrow as pa

    return {
        DataType.BOOL: pa.bool_(),
        DataType.INT64: pa.int64(),
        DataType.FLOAT64: pa.float64(),
        DataType.STRING: pa.string(),
        DataType.TIMESTAMP: pa.timestamp("us", tz="UTC"),
        DataType.DATE: pa.date32(),
    }[type_]


def data_type(arrow: pa.DataType) -> DataType:
    """The narrowest of our types that holds ``arrow``; ValueError for nested and binary types."""
    import pyarrow.types as at

    if at.is_dictionary(arrow):
        return data_type(arrow.value_type)
    tests = (
        (at.is_boolean, DataType.BOOL),
        (at.is_integer, DataType.INT64),
        (at.is_floating, DataType.FLOAT64),
        (at.is_decimal, DataType.FLOAT64),
        (at.is_string, DataType.STRING),
        (at.is_large_string, DataType.STRING),
        (at.is_string_view, DataType.STRING),
        (at.is_timestamp, DataType.TIMESTAMP),
        (at.is_date, DataType.DATE),
        (at.is_null, DataType.STRING),
    )
    for test, type_ in tests:
        if test(arrow):
            return type_
    raise ValueError(f"columns of Arrow type {arrow} are not supported")
