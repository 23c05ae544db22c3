"""Guards a worker's connections: how many there are, how large a head is, how long a client may keep one waiting."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from inseam.kernel.errors import Problem
from inseam.stages.serve.http import JSON, problem_body
from inseam.stages.serve.settings import ServeSettings


class GuardedProtocol(HttpToolsProtocol):  # type: ignore[misc]
    """uvicorn's protocol, which by itself waits for ever for the rest of a head, and keeps as many as come.

    A client owes the rest of a request from its first byte on, and room for the answer while that cannot be sent. A
    body is waited for by `http.read_body`, so a request that is being answered is left alone here. Each connection
    looks at itself now and then, which costs a request nothing. Its application is a `ServingApp`.
    """

    def __init__(self, *arguments: Any, settings: ServeSettings, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._settings = settings
        self._owes_since: float | None = None
        self._stalled_since: float | None = None
        self._is_in_head = True
        self._head_bytes = 0
        self._requests = 0
        self._look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > self._settings.max_connections:
            self._refuse(503, "connections", Problem("overloaded", "server", "it has all the connections it can take"))
        self._owes_since = self.loop.time()
        self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._owes_since is None:
            self._owes_since = self.loop.time()
        requests = self._requests
        super().data_received(data)
        if self._is_in_head and self._requests == requests:
            self._head_bytes += len(data)
            if self._head_bytes > self._settings.max_head_bytes:
                expected = f"at most {self._settings.max_head_bytes} bytes"
                self._refuse(431, "head", Problem("head-too-large", "head", "it is too large", expected))

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._is_in_head = True
        self._head_bytes = 0
        self._requests += 1
        self._owes_since = None
        super().on_message_complete()

    def pause_writing(self) -> None:
        self._stalled_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._stalled_since = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "malformed", Problem("http", "request", "it is not HTTP as this server reads it"))

    def _look_later(self) -> None:
        self._look = self.loop.call_later(self._settings.client_timeout_seconds / 2, self._look_now)

    def _look_now(self) -> None:
        present, patience = self.loop.time(), self._settings.client_timeout_seconds
        if self._stalled_since is None and self.transport.is_closing():
            # What was written before has not been taken yet, else the connection would be gone.
            self._stalled_since = present
        is_answering = self.cycle is not None and not self.cycle.response_complete
        if self._stalled_since is not None and present - self._stalled_since >= patience:
            self._count("slow-client")
            self.transport.abort()
        elif not is_answering and self._owes_since is not None and present - self._owes_since >= patience:
            expected = f"within {patience:g} seconds"
            self._refuse(408, "slow-client", Problem("slow-head", "request", "it did not arrive in time", expected))
        self._look_later()

    def _refuse(self, status: int, reason: str, problem: Problem) -> None:
        """Answer without the application, and close."""
        if self.transport.is_closing():
            return
        self._count(reason)
        body = problem_body([problem], b"-")
        headers = [(b"content-type", JSON), (b"content-length", b"%d" % len(body)), (b"connection", b"close")]
        if status == 503:
            headers.append((b"retry-after", b"%d" % self._settings.retry_after_seconds))
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.transport.write(STATUS_LINE[status] + lines + b"\r\n" + body)
        self.transport.close()

    def _count(self, reason: str) -> None:
        self.app.front.metrics.shed.labels(reason).inc()
