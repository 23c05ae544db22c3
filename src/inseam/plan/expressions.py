"""SQL expressions that users write over one row: which columns they read, and whether they can be true or false."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inseam.kernel.types import DataType, Schema

if TYPE_CHECKING:
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

_SQL_TYPES = {
    DataType.BOOL: "BOOLEAN",
    DataType.INT64: "BIGINT",
    DataType.FLOAT64: "DOUBLE",
    DataType.STRING: "VARCHAR",
    DataType.TIMESTAMP: "TIMESTAMPTZ",
    DataType.DATE: "DATE",
}
_UNSTABLE = ("now", "today", "random", "setseed", "uuid", "gen_random_uuid", "get_current_timestamp", "nextval")


def columns_of(expression: str) -> tuple[str, ...]:
    """The columns that a row-wise SQL expression reads, each once; ValueError says why it is not one."""
    from sqlglot import exp

    return tuple(dict.fromkeys(column.name for column in _tree(expression).find_all(exp.Column)))


def unstable_part(expression: str) -> str | None:
    """The part of a valid expression that depends on when or how often it runs, None when there is none."""
    from sqlglot import exp

    clocks = (exp.CurrentTimestamp, exp.CurrentDate, exp.CurrentTime, exp.CurrentDatetime, exp.Rand, exp.Uuid)
    for node in _tree(expression).walk():
        called = node.name.lower() if isinstance(node, exp.Anonymous) else ""
        if isinstance(node, clocks) or called in _UNSTABLE:
            return str(node.sql(dialect="duckdb"))
    return None


def clashes(expression: str, schema: Schema) -> Iterator[str]:
    """Where the types within a valid expression cannot go together, or its value is neither true nor false."""
    from sqlglot import exp
    from sqlglot.optimizer.annotate_types import annotate_types

    tree = _tree(expression)
    shown = {id(node): node.sql(dialect="duckdb") for node in tree.walk()}
    typed = tree.transform(_cast_column, schema, copy=False)
    typed = annotate_types(typed, dialect="duckdb")
    for node in typed.find_all(exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.In):
        others = node.expressions if isinstance(node, exp.In) else [node.expression]
        if {"text", "number"} <= {_family(side) for side in (node.this, *others)}:
            text = shown.get(id(node), node.sql(dialect="duckdb"))
            yield f"{text} compares a text with a number"
    if _family(typed) not in ("boolean", None):
        yield f"{expression} is a {_family(typed)}, neither true nor false"


def _tree(expression: str) -> exp.Condition:
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    if not isinstance(expression, str):
        raise ValueError("it is not text")
    try:
        trees = sqlglot.parse(expression, dialect="duckdb")
    except SqlglotError as error:
        raise ValueError(_fault(error)) from None
    tree = trees[0] if len(trees) == 1 else None
    if tree is None or not isinstance(tree, exp.Condition) or isinstance(tree, exp.PropertyEQ):
        raise ValueError("it is not one expression")
    beyond = next(tree.find_all(exp.Query, exp.AggFunc, exp.Window, exp.Star, exp.DDL), None)
    if beyond is not None:
        raise ValueError(f"{beyond.sql(dialect='duckdb')} looks beyond the row")
    return tree


def _fault(error: SqlglotError) -> str:
    """Where the text stops being SQL: sqlglot's own words speak of its classes."""
    found = next(iter(getattr(error, "errors", [])), None)
    if found is None:
        return "it is no SQL: a quote or a bracket may be open"
    return f"it stops being SQL at character {found['col']}: {found['highlight']!r}"


def _cast_column(node: exp.Expression, schema: Schema) -> exp.Expression:
    from sqlglot import exp

    type_ = schema.type_of(node.name) if isinstance(node, exp.Column) else None
    return node if type_ is None else exp.cast(exp.null(), _SQL_TYPES[type_], dialect="duckdb")


def _family(node: exp.Expression) -> str | None:
    """What kind of value a typed expression has; None where that is not known, or where DuckDB would convert it."""
    from sqlglot import exp

    inner = node.unnest()
    if isinstance(inner, exp.Literal) and inner.is_string:
        # DuckDB reads a quoted literal as whatever it is compared with.
        return None
    type_ = inner.type
    if type_ is None or type_.this is exp.DataType.Type.UNKNOWN:
        return None
    if type_.this in exp.DataType.NUMERIC_TYPES:
        return "number"
    if type_.this in exp.DataType.TEXT_TYPES:
        return "text"
    if type_.this is exp.DataType.Type.BOOLEAN:
        return "boolean"
    return "timestamp" if type_.this in exp.DataType.TEMPORAL_TYPES else None
