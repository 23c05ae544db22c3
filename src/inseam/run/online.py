"""Online rows: written for a view at a boundary, read for an entity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from inseam.define.endpoint import Endpoint
from inseam.ir.records import MaterializationRecord
from inseam.kernel import clock
from inseam.kernel.types import Field, Schema
from inseam.plan.meaning import lineage
from inseam.ports.progress import Progress, silent
from inseam.run.context import Context
from inseam.run.runs import run

if TYPE_CHECKING:
    from inseam.stages.features.fetch import FeatureReader, FeatureRows


def materialize_view(
    context: Context, name: str, *, as_of: int | None = None, progress: Progress = silent
) -> MaterializationRecord:
    """Write the online rows of a view for the newest boundary at ``as_of`` (default: now)."""
    from inseam.stages.features.materialize import materialize

    view, fingerprint = context.view(name, context.checked())
    instant = clock.now() if as_of is None else as_of
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


def endpoint_reader(context: Context, name: str) -> FeatureReader:
    """The reader of exactly the features that an endpoint's model uses."""
    from inseam.stages.features.fetch import FeatureReader

    schemas = context.checked()
    item = context.project.get(Endpoint, name)
    spec = context.endpoint(name, schemas)
    fingerprints = {use.view.name: lineage(use.view) for use in item.model.training_set.uses}
    views = [(view, fingerprints[view.name]) for view in spec.views]
    return FeatureReader(context.online, views, Schema(spec.keys))


def fetch(
    context: Context, views: Sequence[str], entities: Sequence[Mapping[str, Any]], *, at: int | None = None
) -> FeatureRows:
    """Online values of views for entities, with each view's boundary, staleness and absence."""
    from inseam.stages.features.fetch import FeatureReader

    schemas = context.checked()
    chosen = [context.view(name, schemas) for name in views]
    fields: dict[str, Field] = {}
    for view, _ in chosen:
        for key in view.keys:
            type_ = view.relation.schema.type_of(key)
            if type_ is not None:
                fields.setdefault(key, Field(key, type_))
    reader = FeatureReader(context.online, chosen, Schema(tuple(fields.values())))
    return reader.read(entities, at=at)
