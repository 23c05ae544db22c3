"""Rows that others took the place of: which they are, and since when. A window over each key of the table's rows."""

from __future__ import annotations

from typing import Any

from inseam.adapters.spark.dialect import INPUT, selected
from inseam.adapters.spark.relation import Source, read
from inseam.adapters.spark.shared import quote
from inseam.adapters.spark.types import column
from inseam.ir.relation import INGESTED_AT, SEQUENCE, Upserts
from inseam.ir.window_expression import SUPERSEDED
from inseam.kernel.types import DataType, Field, Schema

_AT, _GONE = "_at", "_gone"


def with_superseded(frame: Any, source: Source, memory: int) -> Any:
    """The relation's rows with `SUPERSEDED` (microseconds), NULL for those that stand for ever."""
    upserts = source.relation.upserts
    return (
        frame if upserts is None else frame.join(_ends(frame.sparkSession, source, upserts, memory), SEQUENCE, "left")
    )


def standing(frame: Any, source: Source, memory: int) -> Any:
    """Those of the relation's rows that stand for ever: the truth as far as it is known."""
    upserts = source.relation.upserts
    return (
        frame if upserts is None else frame.join(_ends(frame.sparkSession, source, upserts, memory), SEQUENCE, "anti")
    )


def _ends(session: Any, source: Source, upserts: Upserts, memory: int) -> Any:
    """`SEQUENCE` and `SUPERSEDED` of the rows that do not stand for ever."""
    from pyspark.sql import Window
    from pyspark.sql import functions as f

    keys = [column(name) for name in upserts.key]
    known = f.unix_micros(f.coalesce(column(INGESTED_AT), column(upserts.timestamp).cast("timestamp")))
    later = Window.partitionBy(*keys).orderBy(column(INGESTED_AT).asc_nulls_first(), column(SEQUENCE))
    following = f.min(_AT).over(later.rowsBetween(1, Window.unboundedFollowing))
    rows = _with_gone(read(session, source.snapshot), source, upserts, memory).withColumn(_AT, known)
    for key in keys:
        rows = rows.where(key.isNotNull())
    ends = rows.select(column(SEQUENCE), f.least(following, f.when(f.col(_GONE), f.col(_AT))).alias(SUPERSEDED))
    return ends.where(f.col(SUPERSEDED).isNotNull())


def _with_gone(rows: Any, source: Source, upserts: Upserts, memory: int) -> Any:
    """The columns that tell who supersedes whom, with whether the row only takes others away."""
    from pyspark.sql import functions as f

    names = tuple(dict.fromkeys((*upserts.key, upserts.timestamp, INGESTED_AT, SEQUENCE)))
    if upserts.deleted is None:
        return rows.select(*map(column, names), f.lit(False).alias(_GONE))
    kept = ", ".join(map(quote, names))
    sql = f"SELECT {kept}, coalesce(({upserts.deleted}\n), false) AS {_GONE} FROM {INPUT}"
    fields = (*(field for field in source.stored if field.name in names), Field(_GONE, DataType.BOOL))
    ordered = Schema(tuple(sorted(fields, key=lambda field: [*names, _GONE].index(field.name))))
    return selected(rows, sql, ordered.to_arrow(), source.relation.table, memory)
