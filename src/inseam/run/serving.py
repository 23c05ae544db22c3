"""The server of a project: its endpoints, their champions and their online rows, put together in each worker."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inseam.define.endpoint import Endpoint
from inseam.define.project import Project
from inseam.ir.training import EndpointSpec
from inseam.kernel.errors import DataError, NotFoundError
from inseam.kernel.types import Field, Schema
from inseam.ports.bundle import BundleManifest, ViewUse
from inseam.run.audit import agreements
from inseam.run.compacting import move_log, tidy
from inseam.run.context import Context
from inseam.run.receipt import LOG
from inseam.run.settings import read_settings
from inseam.run.streaming import Streams, drain_all, stream_sources
from inseam.run.view_versions import ViewVersion, declared, lacks_rows, recorded
from inseam.stages.serve.settings import ServeSettings, changed, read_tokens

if TYPE_CHECKING:
    from fastapi import FastAPI

    from inseam.ports.online import OnlineStore
    from inseam.stages.features.fetch import FeatureReader
    from inseam.stages.serve.breaker import Breaker
    from inseam.stages.serve.endpoint import ServedEndpoint


def serve(context: Context, *, is_open_allowed: bool = False, **told: Any) -> None:
    """Serve every endpoint of the project until interrupted; the prediction log is compacted beside it.

    ``told`` overrides what the environment says of its server.
    """
    from inseam.stages.serve.server import run

    if not context.project.all(Endpoint) and not stream_sources(context):
        raise NotFoundError(
            f"project:{context.project.name}",
            "it declares neither an endpoint nor a stream",
            mend='add Endpoint("name", model), or a source with stream=True',
        )
    # Mistakes are told here, once, and not by every worker.
    settings = changed(context.settings.serve, told, "inseam serve")
    settings = replace(settings, tokens=read_tokens(os.environ), is_open_allowed=is_open_allowed)
    context.checked()
    factory = partial(application, context.settings.root, context.settings.environment, settings)
    run(factory, settings, upkeep=partial(_tend, context))


def application(
    root: Path, environment: str, settings: ServeSettings | None = None, project: Project | None = None
) -> FastAPI:
    """The ASGI application of a project, for a worker process or a server of one's own.

    ``settings`` default to those of the environment, with its tokens.
    """
    from inseam.stages.serve.app import create_app
    from inseam.stages.serve.breaker import Breaker
    from inseam.stages.serve.log import PredictionLog

    context = Context(read_settings(root, environment), project)
    told = settings or replace(context.settings.serve, tokens=read_tokens(os.environ))
    breaker = Breaker()  # one of the process: all endpoints read one store
    served = [_served(context, item.name, told, breaker) for item in context.project.all(Endpoint)]
    return create_app(
        served,
        log=PredictionLog(context.path(LOG), told),
        settings=told,
        title=context.project.name,
        streams=Streams(context) if stream_sources(context) else None,
        audits=partial(agreements, context),
        on_close=context.close,
    )


def _served(context: Context, name: str, settings: ServeSettings, breaker: Breaker) -> ServedEndpoint:
    from inseam.stages.serve.champion import ChampionWatch
    from inseam.stages.serve.endpoint import ServedEndpoint
    from inseam.stages.serve.guarded_store import GuardedStore
    from inseam.stages.serve.recent import RecentRows

    schemas = context.checked()
    spec = context.endpoint(name, schemas)
    recent = RecentRows() if spec.unavailable == "stale" else None
    read = spec.views if spec.members is None else (*spec.views, spec.members)
    guard = GuardedStore(context.online, breaker=breaker, recent=recent) if read else None
    present = {view.name: declared(context, view.name, schemas) for view in read}
    watch = ChampionWatch(
        context.ledger,
        spec.model,
        context.models,
        served_as=partial(_served_as, context, spec, present, guard),
        poll_seconds=settings.poll_seconds,
    )
    return ServedEndpoint(spec, watch, guard)


def _served_as(
    context: Context,
    spec: EndpointSpec,
    present: Mapping[str, ViewVersion],
    store: OnlineStore | None,
    manifest: BundleManifest,
) -> tuple[EndpointSpec, FeatureReader | None, FeatureReader | None]:
    """The endpoint with the views as a model was trained on them, and the readers of exactly those features of them:
    of what it is asked with, and of the members of its wildcard.
    """
    if store is None:
        return spec, None, None
    versions = [_as_trained(context, use, present.get(use.view)) for use in manifest.views]
    served = replace(spec, views=tuple(version.spec for version in versions), members=None)
    reader = _reader(store, versions, spec.keys)
    if spec.members is None or manifest.members is None:
        return served, reader, None
    named = _as_trained(context, manifest.members, present.get(manifest.members.view))
    return replace(served, members=named.spec), reader, _reader(store, [named], spec.keys[:-1])


def _reader(store: OnlineStore, versions: Sequence[ViewVersion], keys: tuple[Field, ...]) -> FeatureReader | None:
    from inseam.stages.features.fetch import FeatureReader

    views = [(version.spec, version.fingerprint) for version in versions]
    fresh = [version.spec.name for version in versions if version.is_fresh]
    return FeatureReader(store, views, Schema(keys), fresh=fresh) if views else None


def _as_trained(context: Context, use: ViewUse, present: ViewVersion | None) -> ViewVersion:
    """What a model was trained on of a view; `DataError` when it can't be read, or not of all entities."""
    is_present = present is not None and present.fingerprint == use.fingerprint
    version = present if is_present else recorded(context, use.view, use.fingerprint)
    if version is None:
        raise DataError(
            f"feature_view:{use.view}",
            "the promoted model was trained on another definition of it, which never had online rows",
            mend=f"run `inseam materialize {use.view}` with that definition, or train on the present one",
        )
    if lacks_rows(context, version):
        raise DataError(
            f"feature_view:{use.view}",
            "not all online rows of the definition that the promoted model was trained on are there",
            mend=f"run `inseam materialize {use.view}`, or wait until it is done",
        )
    return replace(version, spec=version.spec.only(tuple(field.name for field in use.features)))


def _tend(context: Context) -> None:
    moved = move_log(context)
    drain_all(context)
    tidy(context, [*moved, *(f"sources/{name}" for name in stream_sources(context))])
