"""Online rows: written for a view at a boundary, read for an entity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from inseam.define.feature_view import FeatureView
from inseam.ir.entity_key import value_of
from inseam.ir.records import MaterializationRecord
from inseam.kernel import clock
from inseam.kernel.errors import DataError, NotFoundError, RefusedError
from inseam.kernel.names import did_you_mean
from inseam.kernel.types import Field, Schema
from inseam.ports.pin import view_at
from inseam.ports.progress import Progress, silent
from inseam.run.context import Context
from inseam.run.price import READ
from inseam.run.runs import run
from inseam.run.settling import instant_of, settle
from inseam.run.view_versions import ViewVersion, answering, declared, is_online, keep, read_beside

if TYPE_CHECKING:
    from inseam.stages.features.fetched import FeatureRows


def materialize_view(
    context: Context, name: str, *, as_of: int | None = None, progress: Progress = silent
) -> MaterializationRecord:
    """Write the online rows of a view for the newest boundary at ``as_of`` (default: now).

    A view that is kept in tiles makes a step: never back. Then those of its older versions that are still read.
    """
    present = declared(context, name)
    record = write_version(context, present, as_of=as_of, progress=progress)
    for version in read_beside(context, name, present.fingerprint):
        write_version(context, version, as_of=as_of, progress=progress)
    return record


def write_version(
    context: Context, version: ViewVersion, *, as_of: int | None = None, progress: Progress = silent
) -> MaterializationRecord:
    """Write the online rows of one version of a view, beside those of the others."""
    from inseam.stages.features.materialize import materialize

    name, fingerprint = version.meaning
    if version.is_fresh:
        from inseam.run.freshening import freshen_once

        return freshen_once(context, version, as_of=as_of, progress=progress)
    if version.spec.step.microseconds == 0:
        raise _continuous(name)
    keep(context, version)
    instant = instant_of(as_of)
    settle(context, context.project.get(FeatureView, name))
    with run(context.ledger, "materialize", name, fingerprint, {"as_of": instant}) as opened:
        started = clock.now()
        record = materialize(
            version.spec,
            fingerprint,
            as_of=instant,
            engine=context.engine,
            tables=context.tables,
            store=context.online,
            ledger=context.ledger,
            progress=progress,
        )
        opened.outputs = {"boundary": record.boundary, "version": record.version, "rows": record.rows}
        if record.started_at >= started:  # neither found done nor gone on with
            relation = view_at(version.spec, fingerprint, record.version, context.ledger).relation
            read = {(one.table, one.version) for one in relation.reads()}
            opened.outputs[READ] = sum(context.tables.snapshot(*one).rows for one in read)
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


def fetch(
    context: Context, views: Sequence[str], entities: Sequence[Mapping[str, Any]], *, at: int | None = None
) -> FeatureRows:
    """Online values of views for entities, with each view's boundary, staleness and absence.

    A view answers under the definition that was applied last, until another one is.
    """
    schemas = context.checked()
    return read_versions(context, [answering(context, name, schemas) for name in views], entities, at=at)


def read_versions(
    context: Context, versions: Sequence[ViewVersion], entities: Sequence[Mapping[str, Any]], *, at: int | None = None
) -> FeatureRows:
    """Online values of these versions; `NotFoundError` for one of which not every entity has its row yet."""
    from inseam.stages.features.fetch import FeatureReader

    fields: dict[str, Field] = {}
    for version in versions:
        if not version.is_fresh:  # one that is fresh says itself when it has no tiles yet
            _require_rows(context, version)
        for key in version.spec.keys:
            type_ = version.spec.relation.schema.type_of(key)
            if type_ is not None:
                fields.setdefault(key, Field(key, type_))
    chosen = [(version.spec, version.fingerprint) for version in versions]
    fresh = [version.spec.name for version in versions if version.is_fresh]
    reader = FeatureReader(context.online, chosen, Schema(tuple(fields.values())), fresh=fresh)
    return reader.read([_typed(entity, fields) for entity in entities], at=at)


def _require_rows(context: Context, version: ViewVersion) -> None:
    view = version.spec.name
    if version.spec.step.microseconds == 0:
        raise _continuous(view)
    if not is_online(context, version):
        raise NotFoundError(
            f"feature_view:{view}",
            "it has no online rows under this definition yet",
            mend=f"run `inseam materialize {view}`",
        )


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
