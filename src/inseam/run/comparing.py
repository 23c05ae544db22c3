"""The comparison of a view's versions: which are compared, and where their values come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inseam.define.feature_view import FeatureView
from inseam.ir.records import ViewVersionRecord
from inseam.kernel.clock import format_instant
from inseam.kernel.errors import NotFoundError
from inseam.run.context import Context
from inseam.run.online import read_versions
from inseam.run.settling import instant_of, settle
from inseam.run.view_versions import ViewVersion, applied_fingerprint, declared, recorded

if TYPE_CHECKING:
    import pyarrow as pa

    from inseam.stages.observe.compared import Compared
    from inseam.stages.observe.versions import Side


def compare(
    context: Context, view: str, *, against: str | None = None, as_of: int | None = None, sample: int = 10_000
) -> Compared:
    """Compute a view as it is declared and as it was, for up to ``sample`` entities at an instant (default: now).

    ``against``: the fingerprint of the older version, or its beginning; default: the one that answers by the view's
    name, or where that is the declared one, the newest other. A version whose code has changed is read from its online
    rows. `NotFoundError` when no other version is known.
    """
    from inseam.stages.observe.compared import Compared
    from inseam.stages.observe.versions import both, compare_feature, computed, draw, first_differences

    at = instant_of(as_of)
    new = declared(context, view)
    old = _older(context, new, against)
    settle(context, context.project.get(FeatureView, view))
    drawn = [new.spec] if not old.can_compute else [old.spec, new.spec]
    keys, population = draw(context.engine, drawn, at, sample)
    after = computed(context.engine, new.spec, keys, at)
    before = computed(context.engine, old.spec, keys, at) if old.can_compute else _read(context, old, keys, at)
    fields = both(old.spec, new.spec)
    names, older = set(new.spec.schema.names), set(old.spec.schema.names)
    return Compared(
        view=view,
        before=old.fingerprint,
        after=new.fingerprint,
        at=format_instant(at),
        population=population,
        rows=keys.num_rows,
        only_before=int((before.is_known & ~after.is_known).sum()),
        only_after=int((after.is_known & ~before.is_known).sum()),
        features=tuple(compare_feature(field, before, after) for field in fields),
        removed=tuple(sorted(older - names)),
        added=tuple(sorted(names - older)),
        retyped=tuple(sorted((names & older) - {field.name for field in fields})),
        differences=first_differences(fields, before, after, keys),
        is_from_rows=not old.can_compute,
    )


def _older(context: Context, new: ViewVersion, against: str | None) -> ViewVersion:
    view = new.spec.name
    known = [record.fingerprint for record in context.ledger.select(ViewVersionRecord, view=view)]
    others = [fingerprint for fingerprint in known if fingerprint != new.fingerprint]
    if against is not None:
        others = [fingerprint for fingerprint in others if fingerprint.startswith(against)]
    applied = applied_fingerprint(context, view)
    chosen = applied if applied in others else next(reversed(others), None)
    found = None if chosen is None else recorded(context, view, chosen)
    if found is None:
        raise NotFoundError(
            f"feature_view:{view}",
            "no other version of it has been online" if against is None else f"no other version begins with {against}",
            expected=f"one of {', '.join(known)}" if known and against is not None else "",
        )
    return found


def _read(context: Context, version: ViewVersion, keys: pa.Table, at: int) -> Side:
    """A version's values as they are online."""
    from inseam.stages.observe.versions import Side

    rows = read_versions(context, [version], keys.to_pylist(), at=at)
    return Side(rows.columns, ~rows.is_missing[version.spec.name])
