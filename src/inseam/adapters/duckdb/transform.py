"""Transforms written as functions from an Ibis table to an Ibis table: called, checked, compiled to SQL."""

from __future__ import annotations

from typing import Any

from inseam.ir.functions import FunctionRef
from inseam.kernel.errors import DefinitionError, InseamError
from inseam.kernel.types import DataType, Schema

_IBIS_TYPES = {
    DataType.BOOL: "boolean",
    DataType.INT64: "int64",
    DataType.FLOAT64: "float64",
    DataType.STRING: "string",
    DataType.TIMESTAMP: "timestamp('UTC', 6)",
    DataType.DATE: "date",
}
_EXPECTED = "an Ibis table made from its argument row by row: select, mutate, filter, drop, rename, cast, fill_null"


def ibis_table(schema: Schema, name: str) -> Any:
    """An Ibis table of this name and these columns, bound to no backend."""
    import ibis

    return ibis.table({field.name: _IBIS_TYPES[field.type] for field in schema}, name=name)


def function_sql(function: FunctionRef, name: str, schema: Schema, subject: str) -> str:
    """SQL over a table called ``name`` that does what the function says; `DefinitionError` if it isn't row by row."""
    import ibis

    where = f"{subject} ({function.qualname})"
    try:
        table = function.resolve()(ibis_table(schema, name))
    except InseamError:
        raise
    except Exception as error:  # whatever the user's function raises is theirs to mend
        message = str(error).partition("\n")[0]
        raise DefinitionError(where, f"the transform failed: {type(error).__name__}: {message}") from error
    if not isinstance(table, ibis.Table):
        raise DefinitionError(where, f"the transform returned {type(table).__name__}", expected=_EXPECTED)
    _check_tree(table, where)
    return str(ibis.to_sql(table, dialect="duckdb"))


def _check_tree(table: Any, subject: str) -> None:
    import ibis.expr.operations as ops

    allowed = (ops.Project, ops.Filter, ops.DropColumns, ops.FillNull, ops.DropNull, ops.UnboundTable)
    refused = (ops.WindowFunction, ops.Reduction, ops.Analytic, ops.Subquery, ops.Unnest)
    unstable = (ops.Impure, ops.TimestampNow, ops.DateNow)
    for node in table.op().find(ops.Node):
        name = type(node).__name__
        if (isinstance(node, ops.Relation) and not isinstance(node, allowed)) or isinstance(node, refused):
            raise DefinitionError(subject, f"{name} looks at more than one row", expected=_EXPECTED)
        if isinstance(node, unstable):
            raise DefinitionError(
                subject, f"{name} has another value on every run", expected="the same value for the same row, always"
            )
