"""Which rows equal an earlier one, or a row that a table holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inseam.adapters.spark.staging import BLOCK_BITS, BLOCK_ROWS, ROW
from inseam.adapters.spark.types import column


def places(frame: Any, by: Sequence[str], held: Any | None) -> Any:
    """``row``: places from 0, ascending, of the rows of ``frame`` (numbered by `ROW`) that repeat; NULL equals nothing.

    Of ``held`` only rows within the bounds of the frame's columns are read, which skips row groups.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as f

    rows = frame.select(*map(column, by), column(ROW))
    for name in by:
        rows = rows.where(column(name).isNotNull())
    place = f.row_number().over(Window.partitionBy(*map(column, by)).orderBy(ROW))
    found = rows.withColumn("_place", place).where(f.col("_place") > 1).select(ROW)
    if held is not None:
        (ends,) = rows.agg(*(end(column(name)) for name in by for end in (f.min, f.max))).collect()
        names = {name: f"_held_{number}" for number, name in enumerate(by)}
        other = held.select(*(column(name).alias(alias) for name, alias in names.items()))
        for number, alias in enumerate(names.values()):
            other = other.where(f.col(alias).between(f.lit(ends[2 * number]), f.lit(ends[2 * number + 1])))
        same = [column(name) == f.col(alias) for name, alias in names.items()]
        found = found.unionAll(rows.join(other, same, "left_semi").select(ROW)).distinct()
    in_block = f.col(ROW).bitwiseAND(f.lit((1 << BLOCK_BITS) - 1))
    return found.orderBy(ROW).select((f.shiftright(ROW, BLOCK_BITS) * BLOCK_ROWS + in_block).alias("row"))
