"""Features for a spine of any size: in memory where it fits, else partition by partition."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from inseam.adapters.duckdb.features import Work, check_spine, compute
from inseam.adapters.duckdb.session import Limits, Session, plain_schema
from inseam.adapters.duckdb.view_plan import ViewPlan, plan_view
from inseam.ir.windows import EVENT_TIME, WindowedAggregate
from inseam.ports.tables import Snapshot


def build(
    limits: Limits,
    spine: pa.RecordBatchReader,
    views: Sequence[WindowedAggregate],
    snapshots: Sequence[Snapshot],
    path: str,
) -> pa.RecordBatchReader:
    """The spine's rows in their order with the views' columns."""
    with Session(limits) as session:
        plans = [plan_view(view, snapshot, session) for view, snapshot in zip(views, snapshots, strict=True)]
        check_spine(spine.schema, plans)
        table = spine.read_all().cast(plain_schema(spine.schema))
        columns = list(table.columns)
        fields = list(table.schema)
        found: dict[str, list[pa.Array]] = {}
        for work in works(plans, path, limits.threads):
            narrow = table.select([*work.plans[0].view.keys, EVENT_TIME])
            arrays = iter(compute(session, work, narrow, _source))
            for plan in work.plans:
                found[plan.view.name] = [next(arrays) for _ in plan.view.aggregates]
        for view in views:
            columns += found[view.name]
            fields += list(view.schema.to_arrow())
        return pa.table(columns, schema=pa.schema(fields)).to_reader(122_880)


def works(plans: Sequence[ViewPlan], path: str, threads: int) -> list[Work]:
    """The views by the keys that they share."""
    groups: dict[object, list[ViewPlan]] = {}
    for plan in plans:
        groups.setdefault(plan.key_fields, []).append(plan)
    return [Work(tuple(group), path, threads) for group in groups.values()]


def _source(session: Session, plan: ViewPlan, since: int | None, before: int) -> str:
    return plan.events(since, before)
