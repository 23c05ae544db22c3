"""Features for a spine of any size: in memory where everything fits, else partition by partition."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain

import pyarrow as pa

from inseam.adapters.duckdb.features import Source, Work, check_spine, compute
from inseam.adapters.duckdb.partition import partitioned
from inseam.adapters.duckdb.plain import plain_rows
from inseam.adapters.duckdb.rows import plain_stream
from inseam.adapters.duckdb.session import BATCH_ROWS, DUCKDB_SHARE, Limits, Session
from inseam.adapters.duckdb.view_plan import ViewPlan, plan_view
from inseam.ir.relation import Relation
from inseam.ir.windows import EVENT_TIME, WindowedAggregate
from inseam.ports.tables import Snapshot

_VALUE_BYTES = 26
"""An aggregate's value in the sweep and in the result."""


def build(
    limits: Limits,
    spine: pa.RecordBatchReader,
    views: Sequence[WindowedAggregate],
    snapshot_of: Callable[[Relation, Session], Snapshot],
    path: str,
) -> pa.RecordBatchReader:
    """The spine's rows in their order with the views' columns."""
    session = Session(limits, share=DUCKDB_SHARE)
    try:
        read = dict.fromkeys(view.relation.untransformed for view in views)
        snapshots = {relation: snapshot_of(relation, session) for relation in read}
        plans = [plan_view(view, snapshots[view.relation.untransformed], session) for view in views]
        check_spine(spine.schema, plans)
        works = _works(plans, path, limits.threads)
        plain = plain_stream(spine)
        schema = pa.schema([*plain.schema, *(field for view in views for field in view.schema.to_arrow())])
        room = int(limits.memory * (1 - DUCKDB_SHARE)) - max((plan.event_bytes for plan in plans), default=0)
        values = sum(len(view.aggregates) for view in views)
        held, is_whole = _hold(plain, room, values)
        if is_whole:
            table = pa.Table.from_batches(held, plain.schema)
            held.clear()
            batches = _in_memory(session, works, plans, table, schema, limits)
        else:
            rest = pa.RecordBatchReader.from_batches(plain.schema, chain(held, plain))
            batches = partitioned(session, limits, works, rest, schema)
        return pa.RecordBatchReader.from_batches(schema, batches)
    except BaseException:
        session.close()
        raise


def _hold(spine: pa.RecordBatchReader, room: int, values: int) -> tuple[list[pa.RecordBatch], bool]:
    """The spine's batches while they and their values fit into ``room`` bytes, and whether that was all of them."""
    held: list[pa.RecordBatch] = []
    for batch in spine:
        held.append(batch)
        room -= 2 * batch.nbytes + batch.num_rows * (48 + _VALUE_BYTES * values)
        if room < 0:
            return held, False
    return held, room >= 0 or not held


def _in_memory(
    session: Session,
    works: Sequence[Work],
    plans: Sequence[ViewPlan],
    table: pa.Table,
    schema: pa.Schema,
    limits: Limits,
) -> Iterator[pa.RecordBatch]:
    found: dict[str, pa.Array] = {}
    source = Source(lambda _, *view_and_span: ViewPlan.events(*view_and_span), partial(plain_rows, limits))
    try:
        for work in works:
            narrow = table.select(list(dict.fromkeys((*work.plans[0].view.keys, EVENT_TIME))))
            found |= compute(session, work, narrow, source)
    finally:
        session.close()
    columns = [*table.columns, *(found[spec.name] for plan in plans for spec in plan.view.aggregates)]
    yield from pa.table(columns, schema=schema).to_batches(BATCH_ROWS)


def _works(plans: Sequence[ViewPlan], path: str, threads: int) -> list[Work]:
    """The views by the keys that they share."""
    groups: dict[object, list[ViewPlan]] = {}
    for plan in plans:
        groups.setdefault(plan.key_fields, []).append(plan)
    return [Work(tuple(group), path, threads) for group in groups.values()]
