"""Which rows equal an earlier one, or a row that a table holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from inseam.adapters.spark.staging import BLOCK_BITS, ROW
from inseam.adapters.spark.types import column
from inseam.ports.rows import Batches

NUMBERS = pa.schema([(ROW, pa.int64())])
PLACES = pa.schema([("row", pa.int64())])


def repeats(frame: Any, by: Sequence[str], held: Any | None) -> Any:
    """The numbers `ROW`, ascending, of the frame's rows that repeat; NULL equals nothing.

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
    return found.orderBy(ROW)


def places(starts: np.ndarray, batches: Batches) -> Batches:
    """``row``: from numbers to places from 0. ``starts``: the place of each block's first row."""
    for batch in batches:
        numbers = batch.column(ROW).to_numpy()
        found = starts[numbers >> BLOCK_BITS] + (numbers & ((1 << BLOCK_BITS) - 1))
        yield pa.record_batch([pa.array(found)], schema=PLACES)
