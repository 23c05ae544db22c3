"""Views over streams, kept fresh: what was pushed goes into the tables, and from there into the views' tiles."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from inseam.define.feature_view import FeatureView
from inseam.define.source import Source
from inseam.ir.records import LoadRecord, MaterializationRecord
from inseam.kernel import clock
from inseam.kernel.clock import SECOND
from inseam.kernel.errors import ConflictError, NotFoundError, RefusedError, UnavailableError
from inseam.plan.meaning import lineage
from inseam.ports.ledger import Lease
from inseam.ports.progress import Progress, silent
from inseam.run.compacting import tidy_source
from inseam.run.context import Context
from inseam.run.price import READ
from inseam.run.runs import run
from inseam.run.settling import settle
from inseam.run.view_versions import ViewVersion, declared, keep, read_beside

if TYPE_CHECKING:
    from inseam.stages.features.freshen import Freshener

_LONGEST_PAUSE = 10.0
"""Seconds after which what was pushed goes into its table, however far the next boundary is."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """A view after a step. Instants are UTC microseconds."""

    view: str
    boundary: int
    version: int
    rows: int
    entities: int
    step_seconds: float
    behind_seconds: float
    """How long after its boundary the view could be read: its lag, what its step waited for, and the step."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


Told = Callable[[Freshness], None]
"""Hears of each step."""


def _unheard(_: Freshness) -> None:
    """Nobody listens."""


def freshen(
    context: Context,
    names: Sequence[str] = (),
    *,
    is_once: bool = False,
    told: Told | None = None,
    progress: Progress = silent,
) -> None:
    """Make each boundary of these views (none: of all over streams that are served) readable when it is due.

    Goes on until it is interrupted, and may be killed at any instant; ``is_once``: ends after one step of each view.
    ``told`` hears of each step. `ConflictError` when another process keeps one of the views fresh. A store that does
    not answer and a source that another process loads are waited for; a source without rows is too.
    """
    views = _chosen(context, names)
    with ExitStack() as held:
        leases = [held.enter_context(context.ledger.lease(f"freshen:{view.name}")) for view in views]
        of_source: dict[str, list[Freshener]] = {}
        for view in views:
            present = declared(context, view.name)
            versions = (present, *read_beside(context, view.name, present.fingerprint))
            fresheners = [_freshener(context, version, progress) for version in versions if version.is_fresh]
            of_source.setdefault(view.rows.base.name, []).extend(fresheners)
        untidy = dict.fromkeys(of_source, 0)
        while True:
            _check(leases)
            for source, fresheners in of_source.items():
                try:
                    version = _step(context, source, fresheners, told or _unheard)
                    if (
                        version >= untidy[source]
                    ):  # a load is a snapshot and a file; nobody waits for this one's boundary
                        tidy_source(context, source)
                        untidy[source] = version + context.settings.compact_files
                except (UnavailableError, ConflictError, NotFoundError):
                    if is_once:
                        raise
            if is_once:
                return
            time.sleep(_pause([one for many in of_source.values() for one in many]))


def _check(leases: Sequence[Lease]) -> None:
    """`ConflictError` when one of them was lost; a ledger that does not answer is waited for."""
    while True:
        try:
            for lease in leases:
                lease.check()
            return
        except UnavailableError:
            time.sleep(1.0)


def freshen_once(
    context: Context, version: ViewVersion, *, as_of: int | None = None, progress: Progress = silent
) -> MaterializationRecord:
    """One step of a version up to what is known now, or at ``as_of``, remembered in the ledger."""
    name, fingerprint = version.meaning
    view = context.project.get(FeatureView, name)
    with context.ledger.lease(f"freshen:{name}"), run(context.ledger, "freshen", name, fingerprint) as opened:
        started = clock.now()
        source = view.rows.base.name
        through = settle(context, view)
        through = through if as_of is None else min(as_of, through)
        done = _freshener(context, version, progress).step(through, _history(context, source))
        opened.outputs = {"boundary": done.boundary, "version": done.version, "rows": done.rows, READ: done.rows}
    record = MaterializationRecord(
        name, fingerprint, done.boundary, done.version, "committed", done.entities, started, clock.now()
    )
    context.ledger.put(record)
    return record


def applied(context: Context, view: FeatureView) -> int | None:
    """The newest boundary of which all of a view's values are online; None before the first."""
    from inseam.stages.features.mark import COMMITTED, Mark, online_table
    from inseam.stages.features.tile_table import TileMark, tile_table

    if view.is_fresh:
        tiles = TileMark.decode(context.online.mark(tile_table(view.name, lineage(view))))
        return None if tiles is None else tiles.boundary
    rows = Mark.decode(context.online.mark(online_table(view.name, lineage(view))))
    return rows.boundary if rows is not None and rows.status == COMMITTED else None


def all_applied(context: Context) -> dict[str, int]:
    """`applied` of each online view that has any: a small read of the store each."""
    found = {view.name: applied(context, view) for view in context.online_views()}
    return {name: boundary for name, boundary in found.items() if boundary is not None}


def _history(context: Context, source: str) -> int:
    """How many loads of history the source has had."""
    return len(context.ledger.select(LoadRecord, source=source, status="committed", is_history=True))


def _chosen(context: Context, names: Sequence[str]) -> list[FeatureView]:
    views = [context.project.get(FeatureView, name) for name in names] or [
        view for view in context.online_views() if view.is_fresh
    ]
    for view in views:
        if not view.is_fresh:
            raise RefusedError(
                str(view.ref),
                "it is not kept in tiles",
                expected="a view over a source with stream=True, of aggregates whose states merge",
                mend=f"inseam materialize {view.name}",
                place=view.place,
            )
    if not views:
        raise NotFoundError(
            f"project:{context.project.name}", "no view is over a stream", mend="declare its source with stream=True"
        )
    return views


def _freshener(context: Context, version: ViewVersion, progress: Progress) -> Freshener:
    from inseam.stages.features.freshen import Freshener

    keep(context, version)
    return Freshener(
        version.spec,
        version.fingerprint,
        engine=context.engine,
        tables=context.tables,
        store=context.online,
        progress=progress,
    )


def _step(context: Context, source: str, fresheners: Sequence[Freshener], told: Told) -> int:
    """One step of the views of a source; the newest snapshot that they read."""
    through = settle(context, context.project.get(Source, source))
    history, version = _history(context, source), 0
    for one in fresheners:
        began = time.monotonic()
        done = one.step(through, history)
        seconds, behind = time.monotonic() - began, (clock.now() - done.boundary) / SECOND
        told(Freshness(done.view, done.boundary, done.version, done.rows, done.entities, seconds, behind))
        version = max(version, done.version)
    return version


def _pause(fresheners: Sequence[Freshener]) -> float:
    """Seconds until the next boundary is due, of whichever view; a continuous view steps once a second."""
    now = clock.now()
    waits = [_LONGEST_PAUSE]
    for one in fresheners:
        step, lag = one.view.step, one.view.lag
        due = step.next_after(step.boundary(now, lag)) + lag if step.microseconds else now + SECOND
        waits.append((due - now) / SECOND)
    return max(0.0, min(waits))
