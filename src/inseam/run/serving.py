"""The server of a project: its endpoints, their champions and their online rows, put together in each worker."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inseam.define.endpoint import Endpoint
from inseam.define.project import Project
from inseam.kernel.errors import NotFoundError
from inseam.plan.meaning import lineage
from inseam.run.audit import agreements
from inseam.run.compacting import move_log, tidy
from inseam.run.context import Context
from inseam.run.online import endpoint_reader
from inseam.run.receipt import LOG
from inseam.run.settings import read_settings
from inseam.run.streaming import Streams, drain_all, stream_sources
from inseam.stages.serve.settings import ServeSettings, changed, read_tokens

if TYPE_CHECKING:
    from fastapi import FastAPI

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

    spec = context.endpoint(name, context.checked())
    used = context.project.get(Endpoint, name).model.training_set.uses
    watch = ChampionWatch(
        context.ledger,
        spec.model,
        context.models,
        specs=[spec],
        fingerprints={use.view.name: lineage(use.view) for use in used},
        poll_seconds=settings.poll_seconds,
    )
    if not spec.views:
        return ServedEndpoint(spec, watch, None)
    recent = RecentRows() if spec.unavailable == "stale" else None
    guard = GuardedStore(context.online, breaker=breaker, recent=recent)
    return ServedEndpoint(spec, watch, endpoint_reader(context, name, guard), guard)


def _tend(context: Context) -> None:
    moved = move_log(context)
    drain_all(context)
    tidy(context, [*moved, *(f"sources/{name}" for name in stream_sources(context))])
