"""The versions of a view: the declared one, the one that answers by name, and those that models were trained on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from inseam.define.feature_view import FeatureView
from inseam.ir.records import (
    AliasRecord,
    DefinitionRecord,
    MaterializationRecord,
    ModelVersionRecord,
    ViewVersionRecord,
)
from inseam.ir.relation import FunctionTransform
from inseam.ir.view_record import plain_view, view_of
from inseam.ir.windows import WindowedAggregate
from inseam.kernel import clock
from inseam.kernel.errors import DefinitionError, NotFoundError
from inseam.plan.schemas import Schemas
from inseam.ports.bundle import read_manifest
from inseam.run.context import Context


@dataclass(frozen=True, slots=True)
class ViewVersion:
    """A view under one meaning: what its values are, and the fingerprint under which its online rows are kept."""

    spec: WindowedAggregate
    fingerprint: str
    is_fresh: bool
    """Whether it is kept in tiles."""

    @property
    def meaning(self) -> tuple[str, str]:
        return self.spec.name, self.fingerprint

    @property
    def can_compute(self) -> bool:
        """Whether its code is what it was: a transform that is a function of Python may be another by now."""
        transforms = [relation.transform for relation in self.spec.relation.reads()]
        try:
            for transform in transforms:
                if isinstance(transform, FunctionTransform):
                    transform.function.resolve()
        except (DefinitionError, NotFoundError):
            return False
        return True


def declared(context: Context, name: str, schemas: Schemas | None = None) -> ViewVersion:
    """The version that the project's definitions mean now."""
    spec, fingerprint = context.view(name, schemas or context.checked())
    return ViewVersion(spec, fingerprint, context.project.get(FeatureView, name).is_fresh)


def recorded(context: Context, view: str, fingerprint: str) -> ViewVersion | None:
    """A version as it was when its online rows were first written; None when it never had any, or they were pruned."""
    record = context.ledger.get(ViewVersionRecord, view, fingerprint)
    return None if record is None else ViewVersion(view_of(record.definition), fingerprint, record.is_fresh)


def keep(context: Context, version: ViewVersion) -> None:
    """Record a version, before its first online rows are written."""
    if context.ledger.get(ViewVersionRecord, *version.meaning) is None:
        definition = plain_view(version.spec)
        context.ledger.put(ViewVersionRecord(*version.meaning, version.is_fresh, definition, clock.now()))


def answering(context: Context, name: str, schemas: Schemas) -> ViewVersion:
    """The version that is read by the view's name: the applied one, while it is online, else the declared one.

    So a changed view goes on answering from its old rows until `apply` has the new ones whole, and records it.
    """
    present = declared(context, name, schemas)
    applied = applied_fingerprint(context, name)
    if applied in (None, present.fingerprint):
        return present
    before = recorded(context, name, str(applied))
    return before if before is not None and is_online(context, before) else present


def applied_fingerprint(context: Context, name: str) -> str | None:
    """Of the version that was last applied; None when the view never was."""
    record = context.ledger.get(DefinitionRecord, f"{FeatureView.KIND}:{name}")
    return None if record is None else record.lineage


def is_online(context: Context, version: ViewVersion) -> bool:
    """Whether every entity has its row: at some boundary the writing of all of them has come to its end."""
    from inseam.stages.features.mark import online_table
    from inseam.stages.features.tile_table import TileMark, tile_table

    if version.is_fresh:
        mark = TileMark.decode(context.online.mark(tile_table(*version.meaning)))
        return mark is not None and mark.boundary is not None
    return context.online.mark(online_table(*version.meaning)) is not None and "committed" in _written(context, version)


def lacks_rows(context: Context, version: ViewVersion) -> bool:
    """Whether not all of its entities have their row, while the view has had online rows. Says nothing of one that
    never had any, and asks the store only about tiles of which the ledger does not know.
    """
    if "committed" in _written(context, version):
        return False
    is_known = bool(context.ledger.select(ViewVersionRecord, view=version.spec.name))
    return is_known and not (version.is_fresh and is_online(context, version))


def _written(context: Context, version: ViewVersion) -> set[str]:
    view, fingerprint = version.meaning
    return {one.status for one in context.ledger.select(MaterializationRecord, view=view, fingerprint=fingerprint)}


def trained_on(context: Context) -> set[tuple[str, str]]:
    """The (view, fingerprint) that champions, and whatever else has an alias, were trained on, members included."""
    found: set[tuple[str, str]] = set()
    for alias in context.ledger.select(AliasRecord):
        version = context.ledger.get(ModelVersionRecord, alias.model, alias.version)
        with suppress(NotFoundError):
            if version is not None:
                manifest = read_manifest(context.models.here(version.path))
                found |= {(use.view, use.fingerprint) for use in manifest.reads}
    return found


def read_beside(context: Context, name: str, present: str) -> Iterator[ViewVersion]:
    """The versions of a view but the present one whose rows must go on being right: models that have an alias were
    trained on them, or they answer by name.

    Those that can't be computed any more, because their code is another, are left as they are, and go stale.
    """
    wanted = {fingerprint for view, fingerprint in trained_on(context) if view == name}
    wanted.add(applied_fingerprint(context, name) or present)
    for fingerprint in sorted(wanted - {present}):
        version = recorded(context, name, fingerprint)
        if version is not None and version.can_compute:
            yield version
