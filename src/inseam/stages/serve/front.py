"""The way of a request through the server: id, token, route, bounds, answer, metrics, one line of journal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

import msgspec

from inseam.kernel.errors import Problem, SettingError, UnavailableError
from inseam.kernel.names import did_you_mean
from inseam.stages.serve.batch import Batcher
from inseam.stages.serve.endpoint import ServedEndpoint
from inseam.stages.serve.http import (
    LINES,
    OPEN_PATHS,
    Application,
    ClientGoneError,
    Guard,
    Head,
    Message,
    Receive,
    Scope,
    Send,
    answer,
    problem_body,
    read_body,
    require_json,
)
from inseam.stages.serve.journal import Journal
from inseam.stages.serve.log import PredictionLog
from inseam.stages.serve.metrics import Metrics
from inseam.stages.serve.online_watch import OnlineWatch
from inseam.stages.serve.outcomes import OutcomeDesk
from inseam.stages.serve.push import PushDesk, Pushed, Streams
from inseam.stages.serve.record import Outcome
from inseam.stages.serve.request import RequestRefusedError, RequestSchema
from inseam.stages.serve.settings import ServeSettings
from inseam.stages.serve.shed import Shedder

REQUEST_ID = "inseam.request_id"
"""Where the ASGI scope has it for the application behind."""
_PAGES = ("/docs", "/openapi.json", "/swagger/")
"""What a browser opens: it is asked for a password, which is a token, since it has no other way to send one."""
_ENDPOINTS, _PREDICT = "/endpoints/", "/predict"
_PREDICTIONS, _OUTCOME, _OUTCOMES = "/predictions/", "/outcome", "/outcomes"
_SOURCES, _ROWS = "/sources/", "/rows"
_LONGEST_KEY = 200


class Front:
    """Answers predictions, outcomes and pushed rows itself; hands every other path to the application behind it."""

    def __init__(
        self,
        endpoints: Sequence[ServedEndpoint],
        *,
        log: PredictionLog,
        settings: ServeSettings,
        journal: Journal,
        streams: Streams | None = None,
    ) -> None:
        self.endpoints: Mapping[str, ServedEndpoint] = {one.spec.name: one for one in endpoints}
        self.schemas = {name: RequestSchema(one.spec) for name, one in self.endpoints.items()}
        self.log = log
        self.settings = settings
        self.journal = journal
        self.metrics = Metrics()
        self.shedder = Shedder(settings)
        for name, one in self.endpoints.items():
            if one.guard is not None:
                one.guard.notice = OnlineWatch(name, self.metrics, journal)
        self._batcher = Batcher(log, self.metrics, journal)
        self._guard = Guard(settings.tokens)
        self._desk = OutcomeDesk(list(self.endpoints))
        self.streams = streams
        self._pushes = None if streams is None else PushDesk(streams)
        self._retry = (b"retry-after", str(settings.retry_after_seconds).encode())

    async def handle(self, scope: Scope, receive: Receive, send: Send, behind: Application) -> None:
        started = time.perf_counter()
        head = Head(scope["headers"])
        path: str = scope["path"]
        endpoint, route = "", "other"
        try:
            if path not in OPEN_PATHS and not self._guard.admits(head.authorization):
                raise RequestRefusedError(401, Problem("unauthorized", path, "no valid token came with it"))
            if path.startswith(_ENDPOINTS) and path.endswith(_PREDICT):
                route, name = "predict", path[len(_ENDPOINTS) : -len(_PREDICT)]
                endpoint = name if name in self.endpoints else ""
                _require_post(scope, path)
                require_json(head)
                body = await self._predict(name, head, receive, started)
            elif path == _OUTCOMES or (path.startswith(_PREDICTIONS) and path.endswith(_OUTCOME)):
                route = "outcome"
                _require_post(scope, path)
                require_json(head)
                body = await self._outcome(path, head, receive)
            elif path.startswith(_SOURCES) and path.endswith(_ROWS) and self._pushes is not None:
                route = "push"
                _require_post(scope, path)
                require_json(head, may_be_lines=True)
                body = await self._push(self._pushes, path[len(_SOURCES) : -len(_ROWS)], head, receive)
            else:
                status = await self._pass_on(scope, receive, send, head, behind)
                self._done(scope, head, started, endpoint, route, status)
                return
            status = 200
            await answer(send, status, body, head.request_id)
        except RequestRefusedError as refused:
            status = refused.status
            await self._refuse(send, refused, head, path)
        except ClientGoneError:
            status = 499
        except Exception as error:  # noqa: BLE001 - whatever it was, its text stays here
            self.journal.failure(error, request_id=head.request_id.decode())
            status = 500
            problem = Problem("internal", path, "the request failed")
            await self._refuse(send, RequestRefusedError(500, problem), head, path)
        self._done(scope, head, started, endpoint, route, status)

    async def _predict(self, name: str, head: Head, receive: Receive, started: float) -> bytes:
        endpoint = self.endpoints.get(name)
        if endpoint is None:
            mend = did_you_mean(name, self.endpoints)
            raise RequestRefusedError(404, Problem("not-found", f"endpoint:{name}", "it is not served here", "", mend))
        settings = self.settings
        body = await read_body(
            receive, head, most=settings.max_body_bytes, timeout_seconds=settings.client_timeout_seconds
        )
        if self.log.is_full:
            raise self._shed("log-full", Problem("log-full", "prediction log", "it has reached its size limit"))
        # Before the body is decoded: a worker that sheds must spend nearly nothing on what it refuses.
        self._admit(1)
        asked = self.schemas[name].decode(body)
        self._admit(asked.most)
        self.shedder.enter(asked.most)
        try:
            return await self._batcher.submit(endpoint, asked, started)
        finally:
            self.shedder.leave(asked.most)

    async def _outcome(self, path: str, head: Head, receive: Receive) -> bytes:
        settings = self.settings
        body = await read_body(
            receive, head, most=settings.max_body_bytes, timeout_seconds=settings.client_timeout_seconds
        )
        if path == _OUTCOMES:
            found = self._desk.many(body)
        else:
            found = self._desk.one(path[len(_PREDICTIONS) : -len(_OUTCOME)], body)
        await self._keep(found)
        return msgspec.json.encode({"accepted": len(found)})

    async def _push(self, desk: PushDesk, source: str, head: Head, receive: Receive) -> bytes:
        settings = self.settings
        body = await read_body(
            receive, head, most=settings.max_body_bytes, timeout_seconds=settings.client_timeout_seconds
        )
        key = head.idempotency_key.decode("latin-1")
        if len(key) > _LONGEST_KEY:
            found = f"it has {len(key)} characters"
            raise RequestRefusedError(422, Problem("key-too-long", "idempotency-key", found, f"at most {_LONGEST_KEY}"))
        self._admit(1)
        self.shedder.enter(1)
        try:
            taken = await desk.push(Pushed(source, body, key, head.content_type == LINES))
        except (OSError, SettingError, UnavailableError) as error:
            self.journal.failure(error, where="stream log")
            problem = Problem("log-unavailable", "stream log", "the rows could not be kept")
            raise RequestRefusedError(503, problem) from None
        finally:
            self.shedder.leave(1)
        self.metrics.pushed.labels(source).inc(taken)
        return msgspec.json.encode({"accepted": taken})

    async def _keep(self, outcomes: Sequence[Outcome]) -> None:
        if self.log.is_full:
            raise self._shed("log-full", Problem("log-full", "prediction log", "it has reached its size limit"))
        try:
            self.log.append([], outcomes)
            settled = self.log.settled()
            if settled is not None:
                await asyncio.shield(settled)  # others wait for it too
        except OSError as error:
            self.journal.failure(error, where="prediction log")
            problem = Problem("log-unavailable", "prediction log", "the outcome could not be logged")
            raise RequestRefusedError(503, problem) from None
        for outcome in outcomes:
            self.metrics.outcomes.labels(outcome.endpoint).inc()

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send, head: Head, behind: Application) -> int:
        status = 500
        scope[REQUEST_ID] = head.request_id

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", head.request_id)]
            await send(message)

        await behind(scope, receive, named)
        return status

    def _admit(self, rows: int) -> None:
        reason = self.shedder.reason(rows)
        if reason is not None:
            raise self._shed(
                reason, Problem("overloaded", "server", "this worker has more to do than it can", mend="retry")
            )

    def _shed(self, reason: str, problem: Problem) -> RequestRefusedError:
        self.metrics.shed.labels(reason).inc()
        return RequestRefusedError(503, problem)

    async def _refuse(self, send: Send, refused: RequestRefusedError, head: Head, path: str) -> None:
        more = []
        if refused.status == 503:
            more.append(self._retry)
        elif refused.status == 401:
            is_page = path.startswith(_PAGES)
            more.append((b"www-authenticate", b'Basic realm="inseam", charset="UTF-8"' if is_page else b"Bearer"))
        elif refused.status == 405:
            more.append((b"allow", b"POST"))
        elif refused.status == 408:
            # Nobody waits for the rest. That of a body that is too large is read past: its client comes to the answer.
            more.append((b"connection", b"close"))
        await answer(send, refused.status, problem_body(refused.problems, head.request_id), head.request_id, more=more)

    def _done(self, scope: Scope, head: Head, started: float, endpoint: str, route: str, status: int) -> None:
        seconds = time.perf_counter() - started
        self.metrics.answered(endpoint, route, status, seconds)
        if self.settings.is_access_logged:
            self.journal.say(
                "info",
                event="request",
                request_id=head.request_id.decode(),
                method=scope["method"],
                path=scope["path"],
                status=status,
                ms=round(seconds * 1e3, 3),
            )


def _require_post(scope: Scope, path: str) -> None:
    if scope["method"] != "POST":
        raise RequestRefusedError(405, Problem("method", path, f"the method is {scope['method']}", "POST"))
