"""Our types as Spark's, and columns by any name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from inseam.kernel.errors import DataError
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
    """The column of exactly this name, whatever it is made of."""
    from pyspark.sql import functions

    return functions.col(name if name.startswith("_metadata.") else quoted(name))


def quoted(name: str) -> str:
    """A name as an identifier of Spark's SQL."""
    return "`" + name.replace("`", "``") + "`"


def check_spelling(names: Iterable[str], subject: str) -> None:
    """Refuse what PySpark takes for a path into a column when it hands rows to a worker."""
    for name in names:
        if "." in name or "`" in name:
            raise DataError(
                subject,
                f"column {name!r} has a dot or a backtick in its name, with which Spark cannot hand it to a worker",
                mend="rename the column in the source",
            )


def ddl(schema: Schema | pa.Schema) -> str:
    """Columns as Spark reads a schema from text."""
    plain = Schema.from_arrow(schema) if isinstance(schema, pa.Schema) else schema
    return ", ".join(f"{quoted(field.name)} {SPARK_TYPES[field.type]}" for field in plain)
