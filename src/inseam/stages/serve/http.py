"""The little of ASGI that the hot path needs: a bounded body, headers, an answer in JSON."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import itertools
import os
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import Any

import msgspec

from inseam.kernel.errors import Problem
from inseam.stages.serve.request import RequestRefusedError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

JSON = b"application/json"
LINES = b"application/x-ndjson"
OPEN_PATHS = ("/health", "/ready")
"""They are answered without a token: load balancers have none."""
_JSON = re.compile(rb'application/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?\Z', re.IGNORECASE)
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}\Z")
_numbers = itertools.count()
_process = os.urandom(6).hex()
_encode = msgspec.json.Encoder().encode


class ClientGoneError(Exception):
    """The caller hung up before its request was whole: there is nobody to answer."""


class Head:
    """The request headers that the server reads."""

    __slots__ = ("authorization", "content_encoding", "content_type", "idempotency_key", "length", "request_id")

    def __init__(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.authorization = b""
        self.content_encoding = b""
        self.content_type = b""
        self.idempotency_key = b""
        self.length = 0
        request_id = b""
        for name, value in headers:
            if name == b"content-length":
                self.length = int(value) if value.isdigit() else 0
            elif name == b"content-type":
                self.content_type = value
            elif name == b"content-encoding":
                self.content_encoding = value
            elif name == b"authorization":
                self.authorization = value
            elif name == b"x-request-id":
                request_id = value
            elif name == b"idempotency-key":
                self.idempotency_key = value
        # A caller's id is kept only in a form that can do no harm in a header or a log line.
        self.request_id = (
            request_id if _REQUEST_ID.match(request_id) else b"%s-%x" % (_process.encode(), next(_numbers))
        )


class Guard:
    """Tokens, as ``Bearer`` or as the password of ``Basic`` (which a browser asks its user for), in constant time."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._digests = [hashlib.sha256(token.encode()).digest() for token in tokens]

    def admits(self, authorization: bytes) -> bool:
        if not self._digests:
            return True
        found = hashlib.sha256(_secret(authorization)).digest()
        # Every token is compared, whichever matches.
        matches = [hmac.compare_digest(found, digest) for digest in self._digests]
        return any(matches)


def _secret(authorization: bytes) -> bytes:
    """What the header claims to be a token; empty, which none is, when it claims nothing."""
    scheme, _, rest = authorization.partition(b" ")
    if scheme.lower() == b"bearer":
        return rest.strip()
    if scheme.lower() == b"basic":
        try:
            return base64.b64decode(rest.strip(), validate=True).partition(b":")[2]
        except binascii.Error:
            return b""
    return b""


def require_json(head: Head, *, may_be_lines: bool = False) -> None:
    """`RequestRefusedError` 415 for any other body, and for one that does not say what it is.

    So no form of a foreign web page can ask a server on its visitor's machine, or with its visitor's password.
    """
    if may_be_lines and head.content_type == LINES and head.content_encoding in (b"", b"identity"):
        return
    if head.content_encoding not in (b"", b"identity"):
        found = head.content_encoding.decode("latin-1")
        raise RequestRefusedError(415, Problem("content-encoding", "content-encoding", found, "a plain body"))
    if head.content_type != JSON and not _JSON.match(head.content_type):
        found = head.content_type.decode("latin-1") or "nothing"
        raise RequestRefusedError(415, Problem("content-type", "content-type", found, JSON.decode()))


async def read_body(receive: Receive, head: Head, *, most: int, timeout_seconds: float) -> bytes:
    """The whole body; `RequestRefusedError` 413 beyond ``most`` bytes, 408 when it does not come in time."""
    if head.length > most:
        raise RequestRefusedError(413, _too_large(most))
    try:
        async with asyncio.timeout(timeout_seconds):
            return await _whole(receive, most)
    except TimeoutError:
        problem = Problem("slow-body", "body", "it did not arrive in time", f"within {timeout_seconds:g} seconds")
        raise RequestRefusedError(408, problem) from None


async def _whole(receive: Receive, most: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            raise RequestRefusedError(413, _too_large(most))
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(most: int) -> Problem:
    return Problem("body-too-large", "body", "it is too large", f"at most {most} bytes", "send fewer rows a request")


async def answer(
    send: Send, status: int, body: bytes, request_id: bytes, *, more: Sequence[tuple[bytes, bytes]] = ()
) -> None:
    headers = [
        (b"content-type", JSON),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", request_id),
        *more,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def problem_body(problems: Sequence[Problem], request_id: bytes) -> bytes:
    """``{"problems": [{code, subject, found, expected, mend}], "request_id"}``."""
    listed = [{key: value for key, value in problem.as_dict().items() if value} for problem in problems]
    return _encode({"problems": listed, "request_id": request_id.decode()})
