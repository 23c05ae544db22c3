"""Our types as Spark's, and columns by any name."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from inseam.kernel.types import DataType, Schema

SPARK_TYPES = {
    DataType.BOOL: "boolean",
    DataType.INT64: "bigint",
    DataType.FLOAT64: "double",
    DataType.STRING: "string",
    DataType.TIMESTAMP: "timestamp",
    DataType.DATE: "date",
}


def column(name: str) -> Any:
    """The column of exactly this name, dots, spaces and backticks included."""
    from pyspark.sql import functions

    return functions.col(name if name.startswith("_metadata.") else quoted(name))


def quoted(name: str) -> str:
    """A name as an identifier of Spark's SQL."""
    return "`" + name.replace("`", "``") + "`"


def ddl(schema: Schema | pa.Schema) -> str:
    """Columns as Spark reads a schema from text."""
    plain = Schema.from_arrow(schema) if isinstance(schema, pa.Schema) else schema
    return ", ".join(f"{quoted(field.name)} {SPARK_TYPES[field.type]}" for field in plain)
