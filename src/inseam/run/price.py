"""What it costs to write a view's online rows for the first time: what is read, and how long that took before."""

from __future__ import annotations

from dataclasses import dataclass

from inseam.define.feature_view import FeatureView
from inseam.define.join import sources_of
from inseam.ir.records import MaterializationRecord, RunRecord
from inseam.kernel.clock import SECOND
from inseam.run.context import Context

READ = "read"
"""The output of a run that says how many rows of its sources it went through, where it wrote every entity."""


@dataclass(frozen=True, slots=True)
class Price:
    """``rows`` and ``bytes`` of all sources that are read, joined ones too, of which columns that aren't used are left
    out. ``entities``: as many as the view has online now. ``seconds``: at the rate of the largest such run, of this
    view if there was one. None: not known.
    """

    rows: int
    bytes: int
    entities: int | None
    seconds: float | None


def price(context: Context, view: FeatureView) -> Price:
    """From the snapshots' statistics and the ledger; nothing is read."""
    snapshots = [context.tables.snapshot(f"sources/{source.name}") for source in sources_of(view.rows)]
    rows = sum(snapshot.rows for snapshot in snapshots)
    written = context.ledger.select(MaterializationRecord, view=view.name, status="committed")
    entities = max(written, key=lambda record: record.finished_at or 0).rows if written else None
    seconds_a_row = _seconds_a_row(context, view.name)
    seconds = None if seconds_a_row is None else seconds_a_row * rows
    return Price(rows, sum(snapshot.bytes for snapshot in snapshots), None if view.is_fresh else entities, seconds)


def _seconds_a_row(context: Context, view: str) -> float | None:
    runs = [
        run
        for step in ("materialize", "freshen")
        for run in context.ledger.select(RunRecord, step=step, status="succeeded")
        if run.outputs.get(READ) and run.finished_at is not None
    ]
    # The largest: what a small one took is mostly what it takes to begin.
    best = max(runs, key=lambda run: (run.subject == view, run.outputs[READ]), default=None)
    if best is None or best.finished_at is None:
        return None
    return (best.finished_at - best.started_at) / SECOND / int(best.outputs[READ])
