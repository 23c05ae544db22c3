"""What is loaded, built, promoted and online now."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from inseam.define.feature_view import FeatureView
from inseam.define.model import Model
from inseam.define.source import Source
from inseam.ir.records import AliasRecord, AuditRecord, LoadRecord, ModelVersionRecord, SourceSchemaRecord
from inseam.kernel import clock
from inseam.kernel.clock import SECOND, Step, parse_duration
from inseam.plan.meaning import lineage
from inseam.run.audit import last_audits
from inseam.run.context import Context
from inseam.run.freshening import applied
from inseam.run.online import online_record
from inseam.run.runs import close_killed
from inseam.run.streaming import Backlog, backlog


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """``waiting``: rows of a stream that are in its log and not in the table yet."""

    name: str
    rows: int
    quarantined: int
    loads: int
    snapshot: int | None
    watermark: int | None
    waiting: int


@dataclass(frozen=True, slots=True)
class ViewStatus:
    """``age_seconds``: since its boundary; ``is_stale``: a newer boundary than the written one is readable by now."""

    name: str
    rows: int
    boundary: int | None
    age_seconds: float | None
    is_stale: bool


@dataclass(frozen=True, slots=True)
class ModelStatus:
    name: str
    versions: int
    champion: int | None
    metrics: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Status:
    sources: tuple[SourceStatus, ...]
    views: tuple[ViewStatus, ...]
    models: tuple[ModelStatus, ...]
    audits: tuple[AuditRecord, ...]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def status(context: Context) -> Status:
    close_killed(context.ledger)
    behind = backlog(context)
    return Status(
        tuple(_source(context, source.name, behind.get(source.name)) for source in context.project.all(Source)),
        tuple(_view(context, view.name) for view in context.online_views()),
        tuple(_model(context, name) for name in _models(context)),
        last_audits(context),
    )


def _source(context: Context, name: str, behind: Backlog | None) -> SourceStatus:
    loads = context.ledger.select(LoadRecord, source=name, status="committed")
    held = context.ledger.get(SourceSchemaRecord, name)
    return SourceStatus(
        name,
        sum(load.rows_accepted for load in loads),
        sum(load.rows_quarantined for load in loads),
        len(loads),
        context.latest_version(name),
        held.watermark if held is not None else None,
        0 if behind is None else behind.rows,
    )


def _view(context: Context, name: str) -> ViewStatus:
    view = context.project.get(FeatureView, name)
    online = online_record(context, name, lineage(view))
    written = None if online is None else online.boundary
    boundary = applied(context, view) if view.is_fresh else written
    if boundary is None:
        return ViewStatus(name, 0, None, None, is_stale=True)
    now = clock.now()
    readable = Step(parse_duration(view.every), view.timezone).boundary(now, parse_duration(view.lag))
    rows = 0 if online is None else online.rows
    return ViewStatus(name, rows, boundary, (now - boundary) / SECOND, is_stale=boundary < readable)


def _models(context: Context) -> tuple[str, ...]:
    return tuple(item.name for item in context.project.all(Model))


def _model(context: Context, name: str) -> ModelStatus:
    versions = context.ledger.select(ModelVersionRecord, model=name)
    alias = context.ledger.get(AliasRecord, name, "champion")
    champion = next((v for v in versions if alias is not None and v.version == alias.version), None)
    return ModelStatus(name, len(versions), alias.version if alias else None, champion.metrics if champion else {})
