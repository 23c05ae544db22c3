"""Online rows: written for a view at a boundary, read for an entity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from inseam.define.endpoint import Endpoint
from inseam.define.feature_view import FeatureView
from inseam.ir.entity_key import value_of
from inseam.ir.records import MaterializationRecord
from inseam.kernel.errors import DataError, NotFoundError, RefusedError
from inseam.kernel.names import did_you_mean
from inseam.kernel.types import Field, Schema
from inseam.plan.meaning import lineage
from inseam.ports.progress import Progress, silent
from inseam.run.context import Context
from inseam.run.runs import run
from inseam.run.settling import instant_of, settle

if TYPE_CHECKING:
    from inseam.ports.online import OnlineStore
    from inseam.stages.features.fetch import FeatureReader
    from inseam.stages.features.fetched import FeatureRows


def materialize_view(
    context: Context, name: str, *, as_of: int | None = None, progress: Progress = silent
) -> MaterializationRecord:
    """Write the online rows of a view for the newest boundary at ``as_of`` (default: now).

    A view that is kept in tiles makes a step: never back.
    """
    from inseam.stages.features.materialize import materialize

    declared = context.project.get(FeatureView, name)
    view, fingerprint = context.view(name, context.checked())
    if declared.is_fresh:
        from inseam.run.freshening import freshen_once

        return freshen_once(context, name, as_of=as_of, progress=progress)
    if view.step.microseconds == 0:
        raise _continuous(name)
    instant = instant_of(as_of)
    settle(context, declared)
    with run(context.ledger, "materialize", name, fingerprint, {"as_of": instant}) as opened:
        record = materialize(
            view,
            fingerprint,
            as_of=instant,
            engine=context.engine,
            tables=context.tables,
            store=context.online,
            ledger=context.ledger,
            progress=progress,
        )
        opened.outputs = {"boundary": record.boundary, "version": record.version, "rows": record.rows}
    return record


def online_record(context: Context, view: str, fingerprint: str) -> MaterializationRecord | None:
    """Of the rows that are online now: the last ones written, whichever boundary they are of."""
    written = context.ledger.select(MaterializationRecord, view=view, fingerprint=fingerprint, status="committed")
    return max(written, key=lambda record: record.finished_at or 0, default=None)


def _continuous(view: str) -> RefusedError:
    return RefusedError(
        f"feature_view:{view}",
        "it steps continuously, so that it has no materialized rows",
        expected="a view with every of 1s or more, or one over a source with stream=True",
    )


def endpoint_reader(context: Context, name: str, store: OnlineStore) -> FeatureReader:
    """The reader of exactly the features that an endpoint's model uses."""
    from inseam.stages.features.fetch import FeatureReader

    schemas = context.checked()
    item = context.project.get(Endpoint, name)
    spec = context.endpoint(name, schemas)
    fingerprints = {use.view.name: lineage(use.view) for use in item.model.training_set.uses}
    views = [(view, fingerprints[view.name]) for view in spec.views]
    fresh = [use.view.name for use in item.model.training_set.uses if use.view.is_fresh]
    return FeatureReader(store, views, Schema(spec.keys), fresh=fresh)


def fetch(
    context: Context, views: Sequence[str], entities: Sequence[Mapping[str, Any]], *, at: int | None = None
) -> FeatureRows:
    """Online values of views for entities, with each view's boundary, staleness and absence."""
    from inseam.stages.features.fetch import FeatureReader
    from inseam.stages.features.mark import online_table

    schemas = context.checked()
    chosen = [context.view(name, schemas) for name in views]
    fresh = [name for name in views if context.project.get(FeatureView, name).is_fresh]
    for view, fingerprint in chosen:
        if view.name in fresh:  # it says itself when it has no tiles yet
            continue
        if view.step.microseconds == 0:
            raise _continuous(view.name)
        if context.online.mark(online_table(view.name, fingerprint)) is None:
            raise NotFoundError(
                f"feature_view:{view.name}",
                "it has no online rows under this definition yet",
                mend=f"run `inseam materialize {view.name}`",
            )
    fields: dict[str, Field] = {}
    for view, _ in chosen:
        for key in view.keys:
            type_ = view.relation.schema.type_of(key)
            if type_ is not None:
                fields.setdefault(key, Field(key, type_))
    reader = FeatureReader(context.online, chosen, Schema(tuple(fields.values())), fresh=fresh)
    return reader.read([_typed(entity, fields) for entity in entities], at=at)


def _typed(entity: Mapping[str, Any], fields: Mapping[str, Field]) -> dict[str, Any]:
    """Keys that came as text (from a command line) in their own types."""
    for name in entity:
        if name not in fields:
            raise DataError("entity", f"it names {name!r}", mend=did_you_mean(name, fields))
    return {name: _parse(value, fields[name]) if isinstance(value, str) else value for name, value in entity.items()}


def _parse(text: str, field: Field) -> Any:
    try:
        return value_of(text, field.type)
    except ValueError:
        raise DataError(f"key {field.name}", f"{text!r}", expected=f"a {field.type.value}") from None
