"""The audit: what was read online, drawn from the prediction log or from the store, computed again offline."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from inseam.define.endpoint import Endpoint
from inseam.define.feature_view import FeatureView
from inseam.ir.records import AuditRecord, MaterializationRecord, ModelVersionRecord
from inseam.ir.training import EndpointSpec
from inseam.ir.windows import EVENT_TIME, WindowedAggregate
from inseam.kernel import clock
from inseam.kernel.errors import NotFoundError
from inseam.kernel.names import did_you_mean
from inseam.plan.meaning import lineage
from inseam.ports.bundle import BundleManifest, read_manifest
from inseam.ports.pin import view_at
from inseam.run import view_versions
from inseam.run.context import Context
from inseam.run.online import read_versions
from inseam.run.receipt import LOG
from inseam.run.runs import run

if TYPE_CHECKING:
    from inseam.stages.features.mark import Mark
    from inseam.stages.features.tile_table import TileMark
    from inseam.stages.observe.audited import Audited
    from inseam.stages.serve.sample import Sample, ViewReads


def audit(
    context: Context, name: str | None = None, *, sample: int = 1_000, since: int | None = None, is_online: bool = False
) -> tuple[Audited, ...]:
    """Draw up to ``sample`` predictions of each endpoint that were made at or after ``since`` (UTC microseconds;
    default: a day ago), and hold each value that they read against TIME.md's, from the tables.

    ``name``: an endpoint, or a view, whose reads alone are then looked at. ``is_online``: entities are drawn instead,
    and read from the online store now. The outcome is in the ledger, for gates and metrics. `NotFoundError` when there
    is nothing to audit.
    """
    with run(context.ledger, "audit", name or "", inputs={"sample": sample, "is_online": is_online}) as opened:
        begun = clock.now()
        since = begun - clock.DAY if since is None else since
        drawn = _online(context, name, sample) if is_online else _served(context, name, sample, since)
        found = tuple(drawn)
        if not any(one.population for one in found):
            raise NotFoundError(
                name or f"project:{context.project.name}",
                "nothing was predicted since then" if not is_online else "no view has online rows",
                mend="look further back with --since, or audit online rows: --online",
            )
        context.ledger.put(*(one.record(begun) for one in found if one.rows))
        opened.outputs = {
            f"{one.subject} {one.endpoint}".rstrip(): {"rows": one.rows, "equal": one.equal, "causes": dict(one.causes)}
            for one in found
        }
    return found


def last_audits(context: Context) -> tuple[AuditRecord, ...]:
    """Of each subject and endpoint, whichever its definition was then."""
    audits = sorted(context.ledger.select(AuditRecord), key=lambda record: record.audited_at)
    return tuple({(one.subject, one.endpoint): one for one in audits}.values())


def agreements(context: Context) -> dict[tuple[str, str], float]:
    """(subject, endpoint or "") -> the share that agreed in the last audit."""
    return {(one.subject, one.endpoint): one.equal / one.rows for one in last_audits(context)}


def _served(context: Context, name: str | None, most: int, since: int) -> Iterator[Audited]:
    from inseam.stages.serve.sample import draw

    schemas = context.checked()
    for endpoint, views in _chosen(context, name):
        spec = context.endpoint(endpoint.name, schemas)
        sample = draw(context.path(LOG), context.tables, spec, since=since, most=most)
        yield from _Served(context, endpoint, spec, sample).audited(views)


def _chosen(context: Context, name: str | None) -> list[tuple[Endpoint, set[str] | None]]:
    """The endpoints whose predictions are drawn, and which of their views are looked at (None: all)."""
    endpoints = context.project.all(Endpoint)
    named = None if name is None else _named(context, name)
    if isinstance(named, FeatureView):
        users = (one for one in endpoints if named in (use.view for use in one.model.training_set.uses))
        return [(one, {named.name}) for one in users]
    return [(one, None) for one in endpoints if named in (None, one)]


def _named(context: Context, name: str) -> Endpoint | FeatureView:
    known: tuple[Endpoint | FeatureView, ...] = (
        *context.project.all(Endpoint),
        *context.project.all(FeatureView),
    )
    found = next((item for item in known if name in (item.name, str(item.ref))), None)
    if found is None:
        mend = did_you_mean(name, [item.name for item in known])
        raise NotFoundError(name, "no endpoint and no view has this name", mend=mend)
    return found


class _Served:
    """The audit of one endpoint's sample."""

    def __init__(self, context: Context, endpoint: Endpoint, spec: EndpointSpec, sample: Sample) -> None:
        self._context, self._spec, self._sample = context, spec, sample
        self._uses = {use.view.name: use.view for use in endpoint.model.training_set.uses}
        self._manifests = {
            int(number): manifest
            for number in np.unique(sample.model_versions)
            if (manifest := _manifest(context, spec.model, int(number))) is not None
        }

    def audited(self, views: set[str] | None) -> Iterator[Audited]:
        for view in self._spec.views:
            if views is None or view.name in views:
                yield self._view(view)
        if views is None:
            yield from map(self._function, range(len(self._spec.on_demand)))

    def _view(self, view: WindowedAggregate) -> Audited:
        from inseam.stages.observe.audit import audit_view
        from inseam.stages.observe.audited import Audited
        from inseam.stages.observe.reads import Reads

        declared, sample, read = self._uses[view.name], self._sample, self._sample.views[view.name]
        fingerprint = lineage(declared)
        current = self._made_by(
            number
            for number, manifest in self._manifests.items()
            for use in manifest.views
            if (use.view, use.fingerprint) == (view.name, fingerprint) and {*view.schema} <= {*use.features}
        )
        boundaries, versions, is_named = self._named(view, fingerprint, read)
        found = read.is_read & is_named
        drawn = Audited(
            str(declared.ref),
            self._spec.name,
            fingerprint,
            sample.population,
            stale=int(read.is_stale.sum()),
            missing=int((read.is_read & read.is_missing).sum()),
            outdated=int((found & ~current).sum()),
            behind_seconds=_behind(sample.at[found], boundaries[found]),
        )
        values = {field.name: sample.columns[field.name] for field in view.schema}
        reads = Reads(sample.keys, boundaries, versions, values).where(found & current)
        context = self._context
        at = partial(view_at, view, fingerprint, ledger=context.ledger)
        return audit_view(
            drawn, view, reads, at, engine=context.engine, tables=context.tables, is_tiled=declared.is_fresh
        )

    def _named(
        self, view: WindowedAggregate, fingerprint: str, read: ViewReads
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The boundary and snapshot that each read is held against, and where there is one.

        A read that found no row names none. That there was none is a claim about what was materialized last before it:
        its values are then those over no row, unless the endpoint has values of its own for such entities.
        """
        policies = (self._spec.unknown, self._spec.unavailable)
        if not read.is_missing.any() or "default" in policies or self._uses[view.name].is_fresh:
            return read.boundaries, read.versions, ~read.is_missing
        records = self._context.ledger.select(
            MaterializationRecord, view=view.name, fingerprint=fingerprint, status="committed"
        )
        records.sort(key=lambda record: record.finished_at or 0)
        finished = np.array([record.finished_at or 0 for record in records], np.int64)
        place = np.searchsorted(finished, self._sample.at, side="right")
        boundaries = np.array([0, *(record.boundary for record in records)], np.int64)[place]
        versions = np.array([0, *(record.version for record in records)], np.int64)[place]
        missing = read.is_missing
        return (
            np.where(missing, boundaries, read.boundaries),
            np.where(missing, versions, read.versions),
            ~missing | (place > 0),
        )

    def _function(self, place: int) -> Audited:
        import pyarrow as pa

        from inseam.stages.observe.audit import audit_function
        from inseam.stages.observe.audited import Audited

        spec, sample = self._spec.on_demand[place], self._sample
        current = self._made_by(
            number
            for number, manifest in self._manifests.items()
            for made in manifest.on_demand
            if (made.name, made.function.digest, made.parameters) == (spec.name, spec.function.digest, spec.parameters)
        )
        outdated = int(len(current) - current.sum())
        drawn = Audited(
            f"on_demand:{spec.name}", self._spec.name, spec.function.digest, sample.population, outdated=outdated
        )
        columns = {name: column[current] for name, column in sample.columns.items()}
        columns[EVENT_TIME] = sample.at[current].view("datetime64[us]")
        return audit_function(drawn, spec, spec.function.resolve(), columns, sample.keys.filter(pa.array(current)))

    def _made_by(self, versions: Iterator[int]) -> np.ndarray:
        """Which predictions were made by one of these versions of the model."""
        return np.isin(self._sample.model_versions, list(versions))


def _manifest(context: Context, model: str, version: int) -> BundleManifest | None:
    """What a version was trained on; None when it is gone."""
    record = context.ledger.get(ModelVersionRecord, model, version)
    try:
        return None if record is None else read_manifest(context.models.here(record.path))
    except NotFoundError:
        return None


def _behind(read_at: np.ndarray, boundaries: np.ndarray) -> float | None:
    """The greatest age of a boundary when it was read, in seconds."""
    return float((read_at - boundaries).max()) / clock.SECOND if len(boundaries) else None


def _online(context: Context, name: str | None, most: int) -> Iterator[Audited]:
    named = None if name is None else _named(context, name)
    if named is None:
        views = context.online_views()
    elif isinstance(named, FeatureView):
        views = (named,)
    else:
        views = tuple(dict.fromkeys(use.view for use in named.model.training_set.reads))
    return (_online_view(context, view, most) for view in views)


def _online_view(context: Context, declared: FeatureView, most: int) -> Audited:
    from inseam.stages.observe.audit import audit_view, draw_entities
    from inseam.stages.observe.audited import Audited
    from inseam.stages.observe.reads import Reads

    version = view_versions.declared(context, declared.name)
    view, fingerprint = version.spec, version.fingerprint
    mark = _mark(context, declared, fingerprint)
    if mark is None or mark.boundary is None or not view_versions.is_online(context, version):
        return Audited(str(declared.ref), "", fingerprint, 0)
    keys, population = draw_entities(context.engine, view.relation, view.keys, mark.boundary, most)
    rows = read_versions(context, [version], keys.to_pylist())
    # An entity without a row reads as one of which nothing is known: that, too, must be so.
    is_missing = rows.is_missing[view.name]
    boundaries = np.where(is_missing, mark.boundary, rows.boundaries[view.name])
    versions = np.where(is_missing, mark.version, rows.versions[view.name])
    drawn = Audited(
        str(declared.ref),
        "",
        fingerprint,
        population,
        stale=int(rows.is_stale[view.name].sum()),
        missing=int(is_missing.sum()),
        behind_seconds=_behind(np.full(len(rows), rows.at), boundaries),
    )
    reads = Reads(keys, boundaries, versions, rows.columns)
    at = partial(view_at, view, fingerprint, ledger=context.ledger)
    return audit_view(drawn, view, reads, at, engine=context.engine, tables=context.tables, is_tiled=declared.is_fresh)


def _mark(context: Context, view: FeatureView, fingerprint: str) -> Mark | TileMark | None:
    """How far what is online got: which boundary, from which snapshot."""
    from inseam.stages.features.mark import Mark, online_table
    from inseam.stages.features.tile_table import TileMark, tile_table

    if view.is_fresh:
        return TileMark.decode(context.online.mark(tile_table(view.name, fingerprint)))
    return Mark.decode(context.online.mark(online_table(view.name, fingerprint)))
