"""Into which bucket a row goes: by a hash of its key, and a heavy key's rows by time besides.

A bucket is one task. A key with more rows than a bucket should have would make one task do most of the work, so its
spine rows are cut into slices of time, each in a bucket of its own choice, and each of its events goes to every slice
whose windows reach it. Slices cover all of time, so that no value depends on what the sample saw. Windows without a
beginning reach every event before them: there the slices share the spine rows, and a slice holds its whole past.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from inseam.adapters.spark.shared import ViewPlan, boundary_of, span
from inseam.adapters.spark.types import SPARK_TYPES, column
from inseam.ir.windows import EVENT_TIME
from inseam.kernel.types import Field

BUCKET = "_bucket"
_SAMPLE = 1_000
"""Rows a bucket that are looked at to find heavy keys."""
_FEW = 5_000_000
"""Rows below which looking for heavy keys costs more than one of them would."""
_SLICES = 4
"""Slices of a bucket's fair share that a heavy key is cut into."""
_EVER = 1 << 62
_NUMBER = "_number"


@dataclass(frozen=True)
class Extent:
    """What is known of the spine before it is dealt."""

    rows: int
    bytes: int
    earliest: int
    latest: int


@dataclass(frozen=True)
class Heavy:
    """Keys that are split: a table with a row a key, small enough to be sent to every worker."""

    table: pa.Table
    """The keys; ``_cuts`` list<int64> of instants; ``_buckets`` list<int32>, one more; ``_since_N``, ``_before_N``."""


def hashed(fields: Sequence[Field], count: int) -> Any:
    """int: the bucket of a row by its key."""
    from pyspark.sql import functions as f

    return f.pmod(f.xxhash64(*map(_key, fields)), f.lit(count)).cast("int")


def _key(field: Field) -> Any:
    """A key in the type that the views have. One that does not fit is refused where the bucket is answered."""
    return column(field.name).try_cast(SPARK_TYPES[field.type])


def find_heavy(
    fields: Sequence[Field], spine: Any, events: Sequence[Any], sides: Sequence[Sequence[ViewPlan]], count: int,
    extent: Extent, rows: int,
) -> Heavy | None:  # fmt: skip
    """The keys that would fill half a bucket, by a sample of ``spine`` and ``events`` (``rows`` in all)."""
    from pyspark.sql import functions as f

    if count < 2 or rows < _FEW:
        return None
    # So many that half a bucket's share is some hundreds of them.
    fraction = min(1.0, _SAMPLE * count / rows)
    names = [column(field.name) for field in fields]
    keys = [_key(field).alias(field.name) for field in fields]
    seen = spine.select(*keys).sample(fraction, seed=7)
    for side in events:
        seen = seen.unionAll(side.select(*keys).sample(fraction, seed=7))
    counted = seen.groupBy(*names).agg(f.count(f.lit(1)).alias("_n")).where(f.col("_n") > rows * fraction / count / 2)
    shares = counted.where(_held(fields)).withColumn("_share", f.col("_n") / (rows * fraction)).drop("_n").toArrow()
    if not shares.num_rows:
        return None
    # By number: what a key is in Python (a NaN, an instant without its zone) need not equal itself.
    shares = shares.append_column(_NUMBER, pa.array(np.arange(shares.num_rows)))
    at = f.unix_micros(column(EVENT_TIME).cast("timestamp")).alias("_at")
    beside = _beside(spine.select(*keys, at), fields, shares, "inner")
    quantiles = f.percentile_approx("_at", [n / 256 for n in range(1, 256)], 1_000)
    reads = {row[0]: row[1] for row in beside.groupBy(_NUMBER).agg(quantiles).collect()}
    return _sliced(fields, shares, reads, sides, count, extent)


def _sliced(
    fields: Sequence[Field], shares: pa.Table, reads: Mapping[int, Sequence[int]],
    sides: Sequence[Sequence[ViewPlan]], count: int, extent: Extent,
) -> Heavy:  # fmt: skip
    """Slices of about equal numbers of spine rows. A key that the spine never reads has none: its events go nowhere."""
    columns: dict[str, list[Any]] = {name: [] for name in ("_cuts", "_buckets")}
    columns |= {f"{end}_{side}": [] for side in range(len(sides)) for end in ("_since", "_before")}
    dealt = 0
    for number, share in enumerate(shares.column("_share").to_pylist()):
        quantiles = np.array(reads.get(number, []), np.int64)
        wanted = min(int(np.ceil(share * count * _SLICES)), 64 * count)
        places = np.linspace(0, quantiles.size, wanted + 1)[1:-1].astype(int)
        cuts = np.unique(quantiles[places]) if quantiles.size else quantiles
        slices = cuts.size + 1 if quantiles.size else 0
        columns["_cuts"].append(cuts)
        columns["_buckets"].append(np.arange(dealt, dealt + slices) % count)
        dealt += slices
        ends = np.concatenate([[extent.earliest], cuts, [extent.latest + 1]])[: slices + 1]
        for side, plans in enumerate(sides):
            reach = [reached(plans, int(low), int(high) - 1) for low, high in pairwise(ends)]
            columns[f"_since_{side}"].append([-_EVER if since is None else since for since, _ in reach])
            columns[f"_before_{side}"].append([before for _, before in reach])
    types = [pa.list_(pa.int32() if name == "_buckets" else pa.int64()) for name in columns]
    lists = [pa.array(cells, type_) for cells, type_ in zip(columns.values(), types, strict=True)]
    keys = shares.select([field.name for field in fields])
    return Heavy(pa.table([*keys.columns, *lists], names=[*keys.schema.names, *columns]))


def reached(plans: Sequence[ViewPlan], low: int, high: int) -> tuple[int | None, int]:
    """The instants ``[since, before)`` outside of which no event counts for spine rows from ``low`` to ``high``."""
    ends = np.array([min(low, high), max(low, high)])
    spans = [span(plan, boundary_of(plan, ends)) for plan in plans]
    since = [since for since, _ in spans if since is not None]
    return min(since) if len(since) == len(spans) else None, max(before for _, before in spans)


def deal_spine(frame: Any, fields: Sequence[Field], row: str, count: int, heavy: Heavy | None) -> Any:
    """The spine with its `BUCKET`. Rows without a key, which see no event, are dealt evenly."""
    from pyspark.sql import functions as f

    spread = f.pmod(f.xxhash64(column(row)), f.lit(count)).cast("int")
    light = f.when(_held(fields), hashed(fields, count)).otherwise(spread)
    if heavy is None:
        return frame.withColumn(BUCKET, light)
    joined = _beside(frame, fields, heavy.table)
    at = f.unix_micros(column(EVENT_TIME).cast("timestamp"))
    place = f.size(f.filter("_cuts", lambda cut: cut <= at))
    return joined.withColumn(BUCKET, f.when(f.col("_cuts").isNull(), light).otherwise(f.get("_buckets", place)))


def deal_events(frame: Any, event: str, fields: Sequence[Field], side: int, count: int, heavy: Heavy | None) -> Any:
    """Events with their `BUCKET`; an event of a heavy key as often as slices reach it."""
    from pyspark.sql import functions as f

    if heavy is None:
        return frame.withColumn(BUCKET, hashed(fields, count))
    joined = _beside(frame, fields, heavy.table)
    since, before = f"_since_{side}", f"_before_{side}"
    at = column(event)
    slices = f.arrays_zip("_buckets", since, before)
    inside = f.filter(slices, lambda one: (one[since] <= at) & (at < one[before]))
    # Two slices may lie in one bucket, which must hold the event once.
    wanted = f.array_distinct(f.transform(inside, lambda one: one["_buckets"]))
    buckets = f.when(f.col("_cuts").isNull(), f.array(hashed(fields, count))).otherwise(wanted)
    return joined.withColumn(BUCKET, f.explode(buckets))


def _held(fields: Sequence[Field]) -> Any:
    """Whether no part of the key is NULL."""
    return reduce(lambda one, other: one & other, (_key(field).isNotNull() for field in fields))


def _beside(frame: Any, fields: Sequence[Field], heavy: pa.Table, how: str = "left") -> Any:
    """The frame with what is known of its heavy keys beside it: a broadcast, no exchange of rows."""
    from pyspark.sql import functions as f

    names = {field.name: f"_heavy_{place}" for place, field in enumerate(fields)}
    renamed = heavy.rename_columns([names.get(name, name) for name in heavy.schema.names])
    small = f.broadcast(frame.sparkSession.createDataFrame(renamed))
    return frame.join(small, [_key(field) == column(names[field.name]) for field in fields], how)
