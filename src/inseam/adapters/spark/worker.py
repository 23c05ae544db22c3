"""What a worker does with one bucket: some keys' spine rows and events in, the spine rows with their values out."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from inseam.adapters.spark.dialect import worker_limits
from inseam.adapters.spark.failure import told
from inseam.adapters.spark.shared import DUCKDB_SHARE, Session, Source, ViewPlan, Work, compute, quote
from inseam.adapters.spark.slots import Slots
from inseam.ir.relation import SEQUENCE
from inseam.ir.window_expression import EVENT, KNOWN, SUPERSEDED
from inseam.ir.windows import EVENT_TIME


@dataclass(frozen=True)
class Bucket:
    """How a bucket is answered. ``side_of`` says in which of the ``slots``' sides each plan's events are."""

    work: Work
    slots: Slots
    side_of: tuple[int, ...]
    schema: pa.Schema
    """Of what comes out: the spine's columns, then the views'."""
    memory: int

    def answer(self, spine: pa.Table, events: pa.Table) -> pa.Table:
        """The spine's rows with the views' values, in no order."""
        if spine.num_rows == 0:
            return self.schema.empty_table()
        sides = self.slots.take(events)
        with Session(worker_limits(self.memory), share=DUCKDB_SHARE) as session:

            def source(session: Session, plan: ViewPlan, since: int | None, before: int) -> str:
                session.register("bucket_events", sides[self.side_of[self.work.plans.index(plan)]])
                return _select(plan)

            keys = self.work.plans[0].view.keys
            found = compute(session, self.work, spine.select(list(dict.fromkeys((*keys, EVENT_TIME)))), Source(source))
        for name, values in found.items():
            spine = spine.append_column(name, values)
        return spine.select(self.schema.names).cast(self.schema)


def answer(bucket: Bucket, spine: pa.Table, events: pa.Table) -> pa.Table:
    """`Bucket.answer`, as Spark calls it."""
    with told():
        return bucket.answer(spine, events)


def _select(plan: ViewPlan) -> str:
    """What the view needs of its bucket's events (see `ViewPlan.events`)."""
    names = [*dict.fromkeys((*plan.view.keys, *plan.columns)), EVENT]
    names += [KNOWN] * plan.has_known + [SUPERSEDED] * plan.has_superseded + [SEQUENCE] * plan.has_order
    selected = [quote(name) for name in names]
    selected += [f"coalesce(({text}\n), false) AS {quote(name)}" for text, name in plan.conditions.items()]
    return f"SELECT {', '.join(selected)} FROM bucket_events"
