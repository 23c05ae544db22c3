"""The windowed aggregate on Spark: spine and events dealt into buckets of keys by an exchange each, a task a bucket."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pyarrow as pa

from inseam.adapters.spark.buckets import BUCKET, Extent, deal_events, deal_spine, find_heavy, reached
from inseam.adapters.spark.relation import Source, frame_of
from inseam.adapters.spark.shared import ViewPlan, Work
from inseam.adapters.spark.slots import Slots
from inseam.adapters.spark.staging import BLOCK_BITS, ROW
from inseam.adapters.spark.superseded import with_superseded
from inseam.adapters.spark.types import column, ddl, quoted
from inseam.adapters.spark.worker import Bucket, answer
from inseam.ir.relation import INGESTED_AT, SEQUENCE
from inseam.ir.window_expression import EVENT, KNOWN, SUPERSEDED
from inseam.kernel.types import DataType, Field, Schema

_ROWS_A_BUCKET = 50_000
"""Fewer rows than this are not worth a task of their own."""
_MOST_BUCKETS = 10_000


@dataclass(frozen=True)
class Resources:
    """What a cluster gives: bytes for the data of one task, tasks at once, and the path that a test may force."""

    memory: int
    tasks: int
    path: str = "auto"


@dataclass(frozen=True)
class Side:
    """One relation's events for the views that read it."""

    source: Source
    plans: tuple[ViewPlan, ...]

    @property
    def schema(self) -> Schema:
        """The keys and columns of all views, then `EVENT`, `KNOWN`, `SUPERSEDED` and `SEQUENCE` as needed."""
        wanted = dict.fromkeys(self.plans[0].view.keys)
        for plan in self.plans:
            wanted |= dict.fromkeys((*plan.columns, *_named(plan)))
        fields = [Field(name, self.source.schema.type_of(name) or DataType.STRING) for name in wanted]
        numbers = [EVENT, *[KNOWN] * any(plan.has_known for plan in self.plans)]
        numbers += [SUPERSEDED] * any(plan.has_superseded for plan in self.plans)
        numbers += [SEQUENCE] * any(plan.has_order for plan in self.plans)
        return Schema((*fields, *(Field(name, DataType.INT64) for name in numbers)))

    def frame(self, session: Any, extent: Extent, memory: int) -> Any:
        """The events that any window can reach; those without a key or an instant count nowhere."""
        from pyspark.sql import functions as f

        since, before = reached(self.plans, extent.earliest, extent.latest)
        stamp = column(self.source.relation.timestamp).cast("timestamp")
        held = frame_of(session, self.source, memory).where(stamp < f.timestamp_micros(f.lit(before)))
        if since is not None:
            held = held.where(stamp >= f.timestamp_micros(f.lit(since)))
        for key in self.plans[0].view.keys:
            held = held.where(column(key).isNotNull())
        held = with_superseded(held, self.source, memory)
        made = {EVENT: f.unix_micros(stamp), KNOWN: f.unix_micros(column(INGESTED_AT))}
        return held.select(*(made.get(name, column(name)).alias(name) for name in self.schema.names))


def _named(plan: ViewPlan) -> list[str]:
    """The columns that the view's conditions look at."""
    if not plan.conditions:
        return []
    import sqlglot
    from sqlglot import exp

    trees = [sqlglot.parse_one(text, dialect="duckdb") for text in plan.conditions]
    named = {found.name.lower() for tree in trees for found in tree.find_all(exp.Column)}
    return [name for name in plan.source.schema.names if name.lower() in named]


def add_views(
    session: Any, spine: Any, schema: pa.Schema, sides: Sequence[Side], extent: Extent, given: Resources
) -> tuple[Any, pa.Schema]:
    """The frame of ``spine`` (``schema`` and `ROW`) with the columns of views that share their keys, in no order."""
    plans = tuple(plan for side in sides for plan in side.plans)
    fields = plans[0].key_fields
    work = Work(tuple(_travelling(plan) for plan in plans), given.path, 1)
    rows = extent.rows + sum(side.source.snapshot.rows for side in sides)
    count = _count(sides, work, extent, rows, given)
    frames = [side.frame(session, extent, given.memory) for side in sides]
    heavy = find_heavy(fields, spine, frames, [side.plans for side in sides], count, extent, rows)
    slots = Slots(tuple(side.schema for side in sides))
    dealt = [deal_events(frame, EVENT, fields, side, count, heavy) for side, frame in enumerate(frames)]
    added = [field for plan in plans for field in plan.view.schema.to_arrow()]
    out = pa.schema([*schema, pa.field(ROW, pa.int64()), *added])
    side_of = tuple(number for number, side in enumerate(sides) for _ in side.plans)
    left = deal_spine(spine, fields, ROW, count, heavy).select(BUCKET, *map(column, [*schema.names, ROW]))
    right = slots.fill(dealt, [column(BUCKET)])
    bucket = Bucket(work, slots, side_of, out, given.memory)
    both = _in_buckets(left, count).cogroup(_in_buckets(right, count))
    return both.applyInArrow(partial(answer, bucket), ddl(out)), pa.schema([*schema, *added])


def _in_buckets(frame: Any, count: int) -> Any:
    """One exchange: each bucket its own partition."""
    return frame.repartitionById(count, column(BUCKET)).groupBy(BUCKET)


def _travelling(plan: ViewPlan) -> ViewPlan:
    """The plan as it travels to the workers: they read no files."""
    return replace(plan, snapshot=replace(plan.snapshot, files=()))


def _count(sides: Sequence[Side], work: Work, extent: Extent, rows: int, given: Resources) -> int:
    """So many buckets that every task has work at once, and each fits into a third of its memory."""
    spine = 2 * extent.bytes + extent.rows * work.spine_row_bytes
    events = sum(max(plan.event_bytes for plan in side.plans) for side in sides)
    least = min(2 * given.tasks, -(-rows // _ROWS_A_BUCKET))
    return max(1, min(max(least, -(-3 * (spine + events) // given.memory)), _MOST_BUCKETS, rows))


def in_order(frame: Any, schema: pa.Schema, blocks: int) -> Any:
    """The rows in the order of `ROW`, a partition a block: where each belongs is known, so nothing is sampled."""
    from pyspark.sql import functions as f

    block = f.shiftright(column(ROW), BLOCK_BITS).cast("int")
    ordered = frame.repartitionById(max(blocks, 1), block).sortWithinPartitions(quoted(ROW))
    return ordered.select(*(column(name) for name in schema.names))


def by_keys(sides: Sequence[Side]) -> Iterator[list[Side]]:
    """The sides in groups whose views share their keys, and so an exchange."""
    groups: dict[object, list[Side]] = {}
    for side in sides:
        groups.setdefault(side.plans[0].key_fields, []).append(side)
    yield from groups.values()
