"""Plan and apply: compare what is declared with what was applied and what is stored, then do what is missing.

The work follows from state, never from a list kept elsewhere: killed at any instant, applying again goes on where the
ledger and the stores say that it stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from inseam.define.feature_view import FeatureView
from inseam.define.join import sources_of
from inseam.define.source import Source
from inseam.ir.records import (
    DefinitionRecord,
    LoadedFileRecord,
    LoadRecord,
    MaterializationRecord,
    SourceSchemaRecord,
    TrainingSetRecord,
)
from inseam.kernel import clock
from inseam.kernel.errors import ConflictError, RefusedError
from inseam.kernel.frozen import fingerprint
from inseam.kernel.names import Ref
from inseam.plan.diff import Change, Plan, Work, compare, record_of, removed_sources
from inseam.plan.meaning import lineage
from inseam.ports.progress import Progress, silent
from inseam.run.context import Context
from inseam.run.online import write_version
from inseam.run.price import price
from inseam.run.runs import run
from inseam.run.unread import PRUNE, forget, prune, unread
from inseam.run.view_versions import declared


@dataclass(frozen=True, slots=True)
class Applied:
    """What was done. ``left``: work that applying leaves to its own verb (a first load of a source)."""

    plan: Plan
    done: tuple[Work, ...]
    left: tuple[Work, ...]


def make_plan(context: Context) -> Plan:
    """What applying would change and do; `DefinitionError` with every mistake of the definitions first."""
    context.checked()
    changes = compare(context.project, context.ledger.select(DefinitionRecord))
    meaning = fingerprint([lineage(item) for item in context.project.declarations])
    work = (*_loads(context), *_materializations(context), *_drops(context, removed_sources(changes)), *unread(context))
    return Plan(context.project.name, meaning, changes, work)


def _loads(context: Context) -> Iterator[Work]:
    for source in context.project.all(Source):
        if context.latest_version(source.name) is None:
            yield Work("ingest", source.name, "it was never loaded")


def _materializations(context: Context) -> Iterator[Work]:
    for view in context.online_views():
        if any(context.latest_version(source.name) is None for source in sources_of(view.rows)):
            continue
        committed = context.ledger.select(
            MaterializationRecord, view=view.name, fingerprint=lineage(view), status="committed"
        )
        if not committed:
            cost = price(context, view)
            yield Work(
                "materialize",
                view.name,
                "it has no online rows under this definition",
                cost.rows,
                bytes=cost.bytes,
                entities=cost.entities,
                seconds=cost.seconds,
            )


def _drops(context: Context, sources: tuple[str, ...]) -> Iterator[Work]:
    for name in sources:
        if context.latest_version(name) is not None:
            rows = context.tables.snapshot(f"sources/{name}").rows
            yield Work("drop", name, "nothing declares this source any more", rows, is_destructive=True)


def apply(
    context: Context,
    *,
    expected: str | None = None,
    can_destroy: bool = False,
    as_of: int | None = None,
    progress: Progress = silent,
) -> Applied:
    """Make it so. Idempotent; resumes after a kill; two at once: one waits for nobody, the other is told.

    ``expected``: the fingerprint of a plan that was looked at; `ConflictError` when the definitions are others by now.
    Views without online rows get those of the newest boundary at ``as_of`` (default: now). Destroying data needs
    ``can_destroy``; `RefusedError` before anything is done otherwise.
    """
    with context.ledger.lease("apply"):
        plan = make_plan(context)
        if expected is not None and expected != plan.fingerprint:
            raise ConflictError(
                f"project:{context.project.name}", "the definitions changed since the plan was made", mend="plan again"
            )
        destructive = [work for work in plan.work if work.is_destructive]
        if destructive and not can_destroy:
            raise RefusedError(
                f"project:{context.project.name}",
                f"applying would destroy the rows of {', '.join(w.subject for w in destructive)}",
                mend="give --destroy if they shall go, or declare them again",
            )
        with run(context.ledger, "apply", context.project.name, plan.fingerprint) as opened:
            done = tuple(work for work in plan.work if _do(context, plan, work, as_of, progress))
            _record(context, plan)
            opened.outputs = {"done": [f"{w.verb} {w.subject}" for w in done]}
    return Applied(plan, done, tuple(w for w in plan.work if w.verb == "ingest"))


def _record(context: Context, plan: Plan) -> None:
    """Definitions are recorded last, and at once: until then views answer by name under those before, whose rows are
    whole. What is still to be done is found from state, however often this is killed.
    """
    now = clock.now()
    present = {str(item.ref): item for item in context.project.declarations}
    context.ledger.put(
        *(record_of(present[c.ref], now) for c in plan.changes if c.ref in present and c.change is not Change.UNCHANGED)
    )
    dropped = {f"source:{w.subject}" for w in plan.work if w.is_destructive}
    # With what was made from them, so that a drop that is killed finds it again.
    keep_until_dropped = dropped.union(*(c.reaches for c in plan.changes if c.ref in dropped))
    gone = [c.ref for c in plan.of(Change.REMOVED) if c.ref not in keep_until_dropped]
    context.ledger.delete(*(r for ref in gone if (r := context.ledger.get(DefinitionRecord, ref)) is not None))


def _do(context: Context, plan: Plan, work: Work, as_of: int | None, progress: Progress) -> bool:
    """Whether it was done: loads are left to their own verb, rows that are being written for another time."""
    if work.verb == "materialize":
        write_version(context, declared(context, work.subject), as_of=as_of, progress=progress)
    elif work.verb == "drop":
        reached = next((c.reaches for c in plan.changes if c.ref == f"source:{work.subject}"), ())
        _drop_source(context, work.subject, reached)
    elif work.verb == PRUNE:
        return prune(context, work.subject)
    return work.verb != "ingest"


def _drop_source(context: Context, name: str, reached: tuple[str, ...]) -> None:
    """The table goes first and the definition last: killed between, the plan still says what is left to drop.

    What was made from the table (``reached``, and its training sets) goes too: a table of its name would count its
    snapshots from 0 again, and be taken for the one that is gone.
    """
    for table in (f"sources/{name}", f"quarantine/{name}"):
        if table in context.tables.list():
            context.tables.drop(table)
    forget(context, {Ref.parse(ref).name for ref in reached if ref.startswith(f"{FeatureView.KIND}:")})
    ledger = context.ledger
    for record in ledger.select(TrainingSetRecord):
        if f"sources/{name}" in record.snapshots:
            context.training_sets.remove(f"{record.name}/{record.fingerprint}.parquet")
            ledger.delete(record)
    present = {str(item.ref) for item in context.project.declarations}
    gone = (ledger.get(DefinitionRecord, ref) for ref in (*reached, f"source:{name}") if ref not in present)
    ledger.delete(
        *ledger.select(LoadedFileRecord, source=name),
        *ledger.select(LoadRecord, source=name),
        *ledger.select(SourceSchemaRecord, source=name),
        *(record for record in gone if record is not None),
    )
