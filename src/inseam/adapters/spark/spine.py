"""The three kinds of spine as rows on Spark, each in its own order."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from inseam.adapters.spark.dialect import worker_limits
from inseam.adapters.spark.relation import Source
from inseam.adapters.spark.session import BATCH_ROWS
from inseam.adapters.spark.shared import check_names, read_spine
from inseam.adapters.spark.types import column, ddl, quoted
from inseam.ir.boundaries import grid
from inseam.ir.relation import SEQUENCE
from inseam.ir.spine import RowsSpine, SnapshotsSpine, TableSpine
from inseam.ir.windows import EVENT_TIME
from inseam.kernel.errors import DefinitionError
from inseam.kernel.types import DataType, Field, Schema
from inseam.ports.rows import Batches

_FIRST, _LAST = "_first", "_last"
"""The numbers of the first and the last grid instant that a row covers."""
_TS = "_ts"


def rows_spine(spine: RowsSpine, source: Source, frame: Any) -> tuple[Any, Schema]:
    """Each row at its own time, in the order (event_time, order of ingestion)."""
    check_names("spine", "key", spine.keys, source.schema)
    check_names("spine", "carried", spine.columns, source.schema)
    stamped = frame.withColumn(EVENT_TIME, column(spine.relation.timestamp).cast("timestamp"))
    ordered = _held(stamped, (*spine.keys, EVENT_TIME)).orderBy(
        column(EVENT_TIME).asc(), column(SEQUENCE).asc_nulls_first()
    )
    fields = [_field(source, name) for name in spine.keys]
    carried = [_field(source, name) for name in spine.columns]
    schema = Schema((*fields, Field(EVENT_TIME, DataType.TIMESTAMP), *carried))
    return ordered.select(*(column(name) for name in schema.names)), schema


def table_spine(spine: TableSpine, memory: int) -> pa.RecordBatchReader:
    """The user's own file, read where the user is: by DuckDB, as with its engine."""

    def no_relation(*_: object) -> Any:
        raise AssertionError("a table spine reads no relation")

    return read_spine(worker_limits(memory), spine, no_relation)


def snapshots_spine(spine: SnapshotsSpine, source: Source, frame: Any) -> tuple[Any, Schema]:
    """Each key at each grid instant of ``[start, end)`` that lies in ``(ts, ts + active]`` of one of its rows.

    A row covers a run of grid instants, numbered in order. Of the rows that begin to cover at one instant only the
    longest matters, and a run is cut where the key's next one begins: so runs don't overlap, and a hot key is as many
    rows as the grid has instants, not as it has events.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as f

    if spine.step.microseconds == 0:
        raise DefinitionError("spine", "snapshots at every instant", expected="a step such as 1d")
    check_names("spine", "key", spine.keys, source.schema)
    fields = tuple(_field(source, name) for name in spine.keys)
    keys = [column(name) for name in spine.keys]
    stamp = f.unix_micros(column(spine.relation.timestamp).cast("timestamp")).alias(_TS)
    kept = _held(frame.select(*keys, stamp), (*spine.keys, _TS))
    instants = _instants(spine, kept)
    covering = ", ".join((ddl(Schema(fields)), f"{_FIRST} bigint", f"{_LAST} bigint"))
    covered = kept.mapInArrow(partial(_cover, instants, spine.active), covering)
    runs = covered.groupBy(*keys, _FIRST).agg(f.max(_LAST).alias(_LAST))
    following = f.lead(_FIRST).over(Window.partitionBy(*keys).orderBy(_FIRST))
    cut = runs.withColumn(_LAST, f.least(f.col(_LAST), following - 1))
    schema = Schema((*fields, Field(EVENT_TIME, DataType.TIMESTAMP)))
    spread = cut.mapInArrow(partial(_spread, instants, schema.to_arrow()), ddl(schema))
    return spread.orderBy(quoted(EVENT_TIME), *keys), schema


def _field(source: Source, name: str) -> Field:
    return Field(name, source.schema.type_of(name) or DataType.STRING)


def _held(frame: Any, names: Sequence[str]) -> Any:
    for name in names:
        frame = frame.where(column(name).isNotNull())
    return frame


def _instants(spine: SnapshotsSpine, kept: Any) -> np.ndarray:
    """The grid; the relation's extent is asked for only where the spine does not say it."""
    from pyspark.sql import functions as f

    start, end = spine.start, spine.end
    if start is None or end is None:
        (extent,) = kept.agg(f.min(_TS), f.max(_TS)).collect()
        if extent[0] is None:
            return np.empty(0, np.int64)
        start = extent[0] if start is None else start
        # Known up to its last row: the instant of that row is the last that is asked for.
        end = extent[1] + 1 if end is None else end
    return grid(start, end, spine.step)


def _cover(instants: np.ndarray, active: int | None, batches: Batches) -> Batches:
    """Keys with the run of grid instants that each row covers; rows that cover none are left out."""
    for batch in batches:
        ts = batch.column(_TS).to_numpy()
        first = np.searchsorted(instants, ts, side="right")
        reach = np.full(ts.size, instants.size) if active is None else np.searchsorted(instants, ts + active, "right")
        kept = np.flatnonzero(first < reach)
        narrow = batch.drop_columns([_TS]).take(pa.array(kept))
        columns = [*narrow.columns, pa.array(first[kept]), pa.array(reach[kept] - 1)]
        yield pa.record_batch(columns, names=[*narrow.schema.names, _FIRST, _LAST])


def _spread(instants: np.ndarray, schema: pa.Schema, batches: Batches) -> Batches:
    """A row for each instant of each run, in batches of bounded size however long the runs are."""
    for batch in batches:
        first = batch.column(_FIRST).to_numpy()
        lengths = np.maximum(batch.column(_LAST).to_numpy() - first + 1, 0)
        ends = np.cumsum(lengths)
        keys = batch.drop_columns([_FIRST, _LAST])
        for start in range(0, int(ends[-1]) if ends.size else 0, BATCH_ROWS):
            place = np.arange(start, min(start + BATCH_ROWS, int(ends[-1])))
            run = np.searchsorted(ends, place, side="right")
            at = instants[first[run] + place - (ends[run] - lengths[run])]
            columns = [*keys.take(pa.array(run)).columns, pa.array(at).cast(schema.field(EVENT_TIME).type)]
            yield pa.record_batch(columns, schema=schema)
