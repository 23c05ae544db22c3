"""Online rows that nobody reads any more: of views that nothing declares, or that mean something else by now."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from inseam.define.feature_view import FeatureView
from inseam.ir.records import DefinitionRecord, MaterializationRecord, ViewVersionRecord
from inseam.kernel import clock
from inseam.kernel.clock import DAY
from inseam.kernel.errors import ConflictError
from inseam.plan.diff import Work
from inseam.plan.meaning import lineage
from inseam.run.context import Context
from inseam.run.view_versions import trained_on

GRACE = 7 * DAY
"""How long rows stay after they were last written: a server that was not started anew may still read them."""
PRUNE = "prune"


def unread(context: Context) -> Iterator[Work]:
    """The work of dropping what no declaration, and no model that serves, reads."""
    newest: dict[tuple[str, str], MaterializationRecord] = {}
    for record in context.ledger.select(MaterializationRecord):
        meaning = record.view, record.fingerprint
        newest[meaning] = max(newest.get(meaning, record), record, key=_written)
    declared = _declared(context)
    old = {meaning for meaning, record in newest.items() if _written(record) < clock.now() - GRACE} - declared
    for view, fingerprint in sorted(old - trained_on(context) - _applied(context) if old else old):
        rows = newest[view, fingerprint].rows
        yield Work(PRUNE, f"{view}@{fingerprint}", "nothing reads these online rows any more", rows)


def prune(context: Context, subject: str) -> bool:
    """Drop the online rows of one view under one meaning; False while another process writes rows of this view."""
    view, _, fingerprint = subject.partition("@")
    try:
        _drop(context, lambda *meaning: meaning == (view, fingerprint))
    except ConflictError:
        return False
    # Those too whose rows were gone before.
    for kind in (MaterializationRecord, ViewVersionRecord):
        context.ledger.delete(*context.ledger.select(kind, view=view, fingerprint=fingerprint))
    return True


def forget(context: Context, views: set[str]) -> None:
    """Drop online rows of these views under every meaning but the present one, which reads another source."""
    declared = _declared(context)
    _drop(context, lambda view, fingerprint: view in views and (view, fingerprint) not in declared)


def _drop(context: Context, is_unread: Callable[[str, str], bool]) -> None:
    from inseam.stages.features.materialize import prune as drop

    tables = (table.partition("/")[0].rpartition("@") for table in context.online.tables())
    drop(context.online, context.ledger, {(view, print_) for view, _, print_ in tables if not is_unread(view, print_)})


def _declared(context: Context) -> set[tuple[str, str]]:
    return {(view.name, lineage(view)) for view in context.project.all(FeatureView)}


def _applied(context: Context) -> set[tuple[str, str]]:
    """What answers by name until the present definitions are applied."""
    views = {view.name: str(view.ref) for view in context.project.all(FeatureView)}
    records = {name: context.ledger.get(DefinitionRecord, ref) for name, ref in views.items()}
    return {(name, record.lineage) for name, record in records.items() if record is not None}


def _written(record: MaterializationRecord) -> int:
    return record.finished_at or record.started_at
