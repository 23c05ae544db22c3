"""Relations as DataFrames: exactly a snapshot's files, in our types, after the transform."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any

from inseam.adapters.spark.dialect import INPUT, selected
from inseam.adapters.spark.shared import Compiled, quote, source_name, with_system
from inseam.adapters.spark.staging import ROW, Staged
from inseam.adapters.spark.types import SPARK_TYPES, check_spelling, column, ddl
from inseam.ir.relation import SEQUENCE, Relation
from inseam.kernel.types import DataType, Field, Schema
from inseam.ports.tables import Snapshot

_SCHEMES = {"s3": "s3a", "gs": "gs", "az": "abfss"}
"""What Hadoop calls the stores that delta-rs names."""
_FILE_BITS = 40


@dataclass(frozen=True)
class Source:
    """A relation that was checked, over one snapshot of its table."""

    snapshot: Snapshot
    compiled: Compiled

    def __post_init__(self) -> None:
        check_spelling((*self.stored.names, *self.schema.names), self.relation.table)

    @property
    def relation(self) -> Relation:
        return self.compiled.relation

    @property
    def stored(self) -> Schema:
        """Before the transform, with the system columns."""
        return with_system(self.snapshot.schema)

    @property
    def schema(self) -> Schema:
        """After the transform, without the system columns."""
        return self.compiled.schema


def frame_of(session: Any, source: Source, memory: int) -> Any:
    """The relation's rows with the system columns. Without `SEQUENCE` in the table it numbers files and rows."""
    frame = read(session, source.snapshot)
    if source.relation.transform is None:
        return frame
    name = quote(source_name(source.relation))
    sql = f"WITH {name} AS (SELECT * FROM {INPUT}) {source.compiled.body}"
    schema = with_system(source.schema).to_arrow()
    return selected(frame, sql, schema, source.relation.table, memory)


def read(session: Any, snapshot: Snapshot) -> Any:
    """A snapshot's rows as they are stored, with the system columns."""
    from pyspark.sql import functions as f

    schema = with_system(snapshot.schema)
    if not snapshot.files:
        return _nothing(session, schema)
    if SEQUENCE in snapshot.schema:
        return _files(session, schema, [path(file, session) for file in snapshot.files])
    numbered = [
        _files(session, schema, [path(file, session)]).withColumn(
            SEQUENCE, f.lit(number << _FILE_BITS) + column("_metadata.row_index")
        )
        for number, file in enumerate(snapshot.files)
    ]
    return reduce(lambda one, other: one.unionAll(other), numbered)


def _nothing(session: Any, schema: Schema) -> Any:
    from pyspark.sql import functions as f

    return session.range(0).select(*(f.lit(None).cast(SPARK_TYPES[one.type]).alias(one.name) for one in schema))


def _files(session: Any, schema: Schema, files: list[str]) -> Any:
    # A path is taken literally: no character of it is a glob.
    return session.read.schema(ddl(schema)).option("__globPaths__", "false").parquet(*files)


def path(file: str, session: Any) -> str:
    """A snapshot's file as Spark names it."""
    scheme, separator, rest = file.partition("://")
    if not separator:
        return f"file://{file}"
    is_hadoop = not type(session).__module__.startswith("pyspark.sql.connect")
    return f"{_SCHEMES.get(scheme, scheme) if is_hadoop else scheme}://{rest}"


def without_numbers(frame: Any) -> Any:
    """The rows of a table that has no `SEQUENCE`, once they are in order: it is NULL there."""
    from pyspark.sql import functions as f

    return frame.withColumn(SEQUENCE, f.lit(None).cast("bigint"))


def staged_frame(session: Any, staged: Staged) -> Any:
    """Rows that the driver staged, with their numbers, in any order."""
    schema = Schema((*Schema.from_arrow(staged.schema), Field(ROW, DataType.INT64)))
    return _files(session, schema, staged.files) if staged.files else _nothing(session, schema)
