"""Statistics of rows on Spark: a task a column, each by DuckDB out of core, so that they are those of one machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial, reduce
from typing import Any

import pyarrow as pa

from inseam.adapters.spark.dialect import worker_limits
from inseam.adapters.spark.failure import told
from inseam.adapters.spark.shared import describe
from inseam.adapters.spark.types import column, quoted
from inseam.ports.rows import Batches

_RESULT = "name string, told string"


def describe_nothing(schema: pa.Schema, memory: int) -> Mapping[str, Mapping[str, Any]]:
    """What is said of no row, which no task ever sees."""
    return describe(worker_limits(memory), schema.empty_table().to_reader())


def describe_columns(frame: Any, schema: pa.Schema, row: str, memory: int) -> Mapping[str, Mapping[str, Any]]:
    """By column of ``schema`` what `inseam.ports.engine.Engine.describe` says.

    ``row`` numbers the frame's rows: sums are added in their order.
    """
    tasks = []
    for field in schema:
        ordered = frame.select(column(row), column(field.name)).repartition(1).sortWithinPartitions(quoted(row))
        cells = ordered.select(column(field.name))
        tasks.append(cells.mapInArrow(partial(_describe, pa.schema([field]), memory), _RESULT))
    texts = {
        found[0]: json.loads(found[1]) for found in reduce(lambda one, other: one.unionAll(other), tasks).collect()
    }
    return {name: texts[name] for name in schema.names}


def _describe(schema: pa.Schema, memory: int, batches: Batches) -> Batches:
    typed = pa.RecordBatchReader.from_batches(schema, (batch.cast(schema) for batch in batches))
    with told():
        found = describe(worker_limits(memory), typed)
    (name,) = schema.names
    yield pa.record_batch([pa.array([name]), pa.array([json.dumps(found[name])])], names=["name", "told"])
