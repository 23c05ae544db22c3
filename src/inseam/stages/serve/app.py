"""The HTTP surface: FastAPI for what is asked rarely, with predictions answered on a plain ASGI path in front of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI
from fastapi import Request as HttpRequest
from fastapi.responses import PlainTextResponse, Response
from starlette.exceptions import HTTPException

from inseam.kernel.clock import SECOND
from inseam.kernel.errors import DefinitionError, InseamError, Problem
from inseam.stages.serve.docs import add_docs
from inseam.stages.serve.endpoint import ServedEndpoint
from inseam.stages.serve.front import REQUEST_ID, Front
from inseam.stages.serve.http import JSON, Receive, Scope, Send, problem_body
from inseam.stages.serve.ids import endpoint_tag
from inseam.stages.serve.journal import Journal
from inseam.stages.serve.log import PredictionLog
from inseam.stages.serve.metrics import CONTENT_TYPE, Metrics
from inseam.stages.serve.openapi import document
from inseam.stages.serve.push import Streams
from inseam.stages.serve.settings import ServeSettings
from inseam.stages.serve.state import Health, Listing, Readiness, listing, readiness

_TEND_SECONDS = 1.0


class ServingApp(FastAPI):
    """A FastAPI application behind a `Front`."""

    front: Front

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.front.handle(scope, receive, send, super().__call__)
        else:
            await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            schemas = [self.front.schemas[name] for name in sorted(self.front.schemas)]
            is_guarded = bool(self.front.settings.tokens)
            takes_rows = self.front.streams is not None
            self.openapi_schema = document(super().openapi(), schemas, is_guarded=is_guarded, takes_rows=takes_rows)
        return self.openapi_schema


def create_app(
    endpoints: Sequence[ServedEndpoint],
    *,
    log: PredictionLog,
    settings: ServeSettings,
    title: str = "Inseam",
    streams: Streams | None = None,
    audits: Callable[[], Mapping[tuple[str, str], float]] | None = None,
    on_close: Callable[[], None] | None = None,
) -> FastAPI:
    """The server's application over ready-made parts. It starts champions and closes the log with its lifespan.

    ``streams`` takes the rows that are pushed to ``/sources/NAME/rows``; without it there is no such route.
    ``audits`` gives the share that agreed in the last audit by what was audited and whose predictions were drawn.
    ``on_close`` runs last, to close what the caller opened (the online store). `DefinitionError` when two endpoints
    cannot be told apart.
    """
    _check_names(endpoints)
    journal = Journal()
    front = Front(endpoints, log=log, settings=settings, journal=journal, streams=streams)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        journal.start()
        front.shedder.start()
        await asyncio.gather(*(asyncio.to_thread(one.champion.start) for one in endpoints))
        tending = asyncio.create_task(_tend(front))
        try:
            yield
        finally:
            tending.cancel()
            with suppress(asyncio.CancelledError):
                await tending
            front.shedder.stop()
            for one in endpoints:
                one.champion.stop()
            log.close()
            if on_close is not None:
                on_close()
            journal.stop()

    app = ServingApp(title=title, lifespan=lifespan, docs_url=None, redoc_url=None, swagger_ui_oauth2_redirect_url=None)
    app.front = front
    _add_routes(app, audits)
    add_docs(app)
    return app


def _check_names(endpoints: Sequence[ServedEndpoint]) -> None:
    tags: dict[int, str] = {}
    for one in endpoints:
        other = tags.setdefault(endpoint_tag(one.spec.name), one.spec.name)
        if other != one.spec.name or sum(o.spec.name == other for o in endpoints) > 1:
            raise DefinitionError(
                f"endpoint:{one.spec.name}",
                f"its prediction ids cannot be told from those of {other!r}",
                mend="rename one of the two",
            )


async def _tend(front: Front) -> None:
    """What is looked after every second: the log's segments, and what other workers show of this one."""
    while True:
        try:
            front.log.tend()
        except OSError as error:
            front.journal.failure(error, where="prediction log")
        _gauge(front)
        await asyncio.sleep(_TEND_SECONDS)


def _gauge(front: Front) -> None:
    front.metrics.lag.set(front.shedder.lag)
    for name, one in front.endpoints.items():
        champion = one.champion.current
        if champion is not None:
            front.metrics.version.labels(name, one.spec.model).set(champion.version)
        front.metrics.broken.labels(name).set(1 if one.champion.problem is not None else 0)


async def _gauge_streams(metrics: Metrics, streams: Streams) -> None:
    """Of a ledger or an online store that is away, what was last known stays."""
    with suppress(InseamError):
        for source, (rows, seconds) in (await asyncio.to_thread(streams.backlog)).items():
            metrics.behind_rows.labels(source).set(rows)
            metrics.behind_seconds.labels(source).set(seconds)
    with suppress(InseamError):
        for view, boundary in (await asyncio.to_thread(streams.boundaries)).items():
            metrics.boundary.labels(view).set(boundary / SECOND)


def _add_routes(app: ServingApp, audits: Callable[[], Mapping[tuple[str, str], float]] | None) -> None:
    front = app.front

    @app.get("/health", tags=["server"], summary="The process answers")
    async def health() -> Health:
        return Health()

    @app.get(
        "/ready",
        tags=["server"],
        summary="Models are loaded and the log takes predictions",
        responses={503: {"model": Readiness, "description": "not yet, or not now: the problem is named"}},
    )
    async def ready(response: Response) -> Readiness:
        state = readiness(front.endpoints, front.log)
        response.status_code = 200 if state.ready else 503
        return state

    @app.get("/metrics", tags=["server"], summary="Prometheus metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        _gauge(front)
        if front.streams is not None:
            await _gauge_streams(front.metrics, front.streams)
        if audits is not None:
            with suppress(InseamError):  # a ledger that is away: what was last known stays
                for labels, share in (await asyncio.to_thread(audits)).items():
                    front.metrics.audit.labels(*labels).set(share)
        return Response(front.metrics.text(), media_type=CONTENT_TYPE)

    @app.get("/endpoints", tags=["server"], summary="What is served")
    async def listed() -> list[Listing]:
        return [listing(one) for _, one in sorted(front.endpoints.items())]

    @app.exception_handler(HTTPException)
    async def refused(request: HttpRequest, error: HTTPException) -> Response:
        problem = Problem("http", request.url.path, str(error.detail))
        body = problem_body([problem], request.scope[REQUEST_ID])
        return Response(body, error.status_code, error.headers, JSON.decode())
