"""The windowed aggregate over one spine that is in memory: each view by the sweep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from inseam.adapters.duckdb import corrected, fast, general
from inseam.adapters.duckdb.events import coded, gather, numbers
from inseam.adapters.duckdb.keys import Array, SpineKeys
from inseam.adapters.duckdb.session import Batches, Session
from inseam.adapters.duckdb.view_plan import ViewPlan
from inseam.ir.boundaries import boundaries
from inseam.ir.derived import finished
from inseam.ir.windows import EVENT_TIME
from inseam.kernel.errors import DataError
from inseam.kernel.names import did_you_mean
from inseam.kernel.types import arrow_type


@dataclass(frozen=True, slots=True)
class Source:
    """Where a view's events with ``since <= ts < before`` come from."""

    sql: Callable[[Session, ViewPlan, int | None, int], str]
    """Their SELECT."""
    plain: Callable[[ViewPlan, int | None, int], Batches | None] = lambda *_: None
    """What `coded` selects of them, where a single key is its own code and they can be had without SQL."""


@dataclass(frozen=True, slots=True)
class Work:
    """Views that share their keys, and the path that a test may force (``auto``, ``general``)."""

    plans: tuple[ViewPlan, ...]
    path: str
    threads: int

    @property
    def spine_row_bytes(self) -> int:
        """What a spine row and its values take in memory: in the sweep and in the result."""
        return 96 + 26 * sum(len(plan.core.aggregates) for plan in self.plans)


def check_spine(schema: pa.Schema, plans: Sequence[ViewPlan]) -> None:
    """`DataError` when the spine lacks a key or its instants, or has a column that a view would add."""
    names = schema.names
    made = [spec.name for plan in plans for spec in plan.view.aggregates]
    for plan in plans:
        for name in (*plan.view.keys, EVENT_TIME):
            if name not in names:
                found = f"the spine has no column {name!r}, which view {plan.view.name!r} needs"
                raise DataError("spine", found, mend=did_you_mean(name, names))
    if not pa.types.is_timestamp(schema.field(EVENT_TIME).type):
        raise DataError("spine", f"{EVENT_TIME!r} is {schema.field(EVENT_TIME).type}", expected="a timestamp")
    for name in made:
        if name in names or made.count(name) > 1:
            raise DataError("spine", f"two columns would be called {name!r}", mend="rename the feature")


def instants(column: pa.ChunkedArray) -> Array:
    """Event times as int64 UTC microseconds; `DataError` where one is NULL."""
    if column.null_count:
        raise DataError("spine", f"{column.null_count} rows have no {EVENT_TIME}", expected="an instant in every row")
    type_ = column.type
    zoned = pa.timestamp("us", tz="UTC")
    plain = column.cast(pa.timestamp("us")).cast(zoned) if type_.tz is None else column.cast(zoned)
    return numbers(plain.cast(pa.int64()))


def key_columns(table: pa.Table, plan: ViewPlan) -> list[pa.ChunkedArray]:
    """The spine's keys in the types of the relation's."""
    found = []
    for field in plan.key_fields:
        column = table.column(field.name)
        try:
            found.append(column.cast(arrow_type(field.type)))
        except pa.ArrowException as error:
            raise DataError(
                "spine",
                f"key {field.name!r} is {column.type} and does not fit view {plan.view.name!r}: {error}",
                expected=f"{field.type}",
            ) from None
    return found


def compute(session: Session, work: Work, spine: pa.Table, source: Source) -> dict[str, pa.Array]:
    """The columns of all views of ``work`` by name, a row for each row of ``spine`` (keys and event time)."""
    at = instants(spine.column(EVENT_TIME))
    keys = SpineKeys.of(work.plans[0].view.keys, key_columns(spine, work.plans[0]))
    session.register("keys", keys.table)
    columns: dict[str, pa.Array] = {}
    for plan in work.plans:
        columns |= _compute_view(session, work, plan, keys, at, source)
    return columns


def _compute_view(
    session: Session,
    work: Work,
    plan: ViewPlan,
    keys: SpineKeys,
    at: Array,
    source: Source,
) -> dict[str, pa.Array]:
    boundary = boundary_of(plan, at)
    since, before = span(plan, boundary)
    if work.path == "general":
        sql = source.sql(session, plan, since, before)
        arrays = general.query_view(session, plan, plan.core.aggregates, sql, keys, boundary)
    elif plan.has_superseded:
        sql = source.sql(session, plan, since, before)
        arrays = corrected.query_view(session, plan, sql, keys, boundary, work.threads)
    else:
        found = source.plain(plan, since, before) if keys.lookup is not None else None
        if found is None:
            sql = coded(plan, source.sql(session, plan, since, before), keys)
            found = session.batches(sql, plan.view.name)
        arrays = fast.sweep_view(plan, gather(plan, found, keys), keys, boundary, work.threads)
    computed = dict(zip((spec.name for spec in plan.core.aggregates), arrays, strict=True))
    return finished(plan.view, computed, boundary)


def boundary_of(plan: ViewPlan, at: Array) -> Array:
    """b(t) of each instant; for a label the end of its window."""
    view = plan.view
    return at + view.forward if view.forward is not None else boundaries(at, view.step, view.lag)


def span(plan: ViewPlan, boundary: Array) -> tuple[int | None, int]:
    """The instants ``[since, before)`` outside of which no event counts for any of these boundaries."""
    if boundary.size == 0:
        return 0, 0
    overs = [plan.over(spec) for spec in plan.core.aggregates]
    before = int(boundary.max())
    if None in overs:
        return None, before
    return int(np.min(boundary)) - max(over for over in overs if over is not None), before
