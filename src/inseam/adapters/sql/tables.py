"""One SQL table a kind of record, derived from the dataclass and from nothing else; and the table of leases."""

from __future__ import annotations

import dataclasses
import re
import types
from collections.abc import Iterable
from typing import Any, Union, get_args, get_origin, get_type_hints

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Identity,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import TypeEngine

from inseam.ir.records import RECORDS

ORDER = "_order"
"""Rises with each record that is first written, and stays with it: `select` sorts by it."""
VERSION_TABLE = "ledger_revision"
"""Where the schema's revision is kept. Not Alembic's usual name: MLflow may live in the same database."""

metadata = MetaData(naming_convention={"pk": "pk_%(table_name)s", "uq": "uq_%(table_name)s", "ix": "ix_%(table_name)s"})


def table_name(kind: type[Any]) -> str:
    """``TrainingSetRecord`` is kept in ``ledger_training_set``."""
    words = re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__.removesuffix("Record")).lower()
    return f"ledger_{words}"


def field_names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


def _column_type(hint: Any) -> tuple[TypeEngine[Any], bool]:
    """The SQL type of a field and whether it may be NULL."""
    if get_origin(hint) in (Union, types.UnionType):
        (inner,) = (argument for argument in get_args(hint) if argument is not type(None))
        return _column_type(inner)[0], True
    plain: dict[Any, TypeEngine[Any]] = {
        str: String(),
        int: BigInteger(),
        bool: Boolean(),
        dict: JSON(none_as_null=True),
    }
    return plain[get_origin(hint) or hint], False


def _order_column() -> Column[int]:
    # SQLite numbers rows by itself only in a column whose type is exactly INTEGER.
    type_ = BigInteger().with_variant(Integer(), "sqlite")
    return Column(ORDER, type_, Identity(always=True), primary_key=True)


def record_table(kind: type[Any]) -> Table:
    """The table of one kind: the order column, the fields, its ``KEY`` as unique, its ``SOUGHT_BY`` as an index."""
    hints = get_type_hints(kind)
    columns: list[Column[Any]] = []
    for name in field_names(kind):
        type_, is_nullable = _column_type(hints[name])
        columns.append(Column(name, type_, nullable=is_nullable))
    rules: list[SchemaItem] = [UniqueConstraint(*kind.KEY)]
    if sought := getattr(kind, "SOUGHT_BY", None):
        rules.append(Index(None, *sought))
    return Table(table_name(kind), metadata, _order_column(), *columns, *rules, sqlite_autoincrement=True)


TABLES: dict[type[Any], Table] = {kind: record_table(kind) for kind in RECORDS}

LEASE = Table(
    "ledger_lease",
    metadata,
    Column("name", String(), primary_key=True),
    Column("token", String(), nullable=False),
    Column("host", String(), nullable=False),
    Column("machine", String(), nullable=False),
    Column("pid", BigInteger(), nullable=False),
    Column("process_started", String(), nullable=False),
    Column("thread", String(), nullable=False),
    Column("acquired_at", BigInteger(), nullable=False),
    Column("heartbeat_at", BigInteger(), nullable=False),
)


def mapping_fields(kind: type[Any]) -> Iterable[str]:
    """The fields that are kept as JSON."""
    return (column.name for column in TABLES[kind].columns if isinstance(column.type, JSON))
