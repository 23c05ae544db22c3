"""Messages of a Redis Stream, read in the name of a consumer group."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError
from redis.retry import Retry

from inseam.adapters.redis.fault import FAULTS, translated
from inseam.kernel.clock import SECOND
from inseam.kernel.errors import SettingError, UnavailableError
from inseam.ports.consumer import Message
from inseam.ports.server_url import UrlOptions, shown

_NAME = "inseam"
"""One consumer for all processes of the log's machine: what one was killed over, the next is given at once."""
_ANSWER_SECONDS = 10.0
_FROM_THE_START = b"0-0"
_T = TypeVar("_T")


class RedisConsumer:
    """`inseam.ports.consumer.Consumer` of a stream (`XREADGROUP`, Redis 7 or later).

    Beside the options of redis-py the URL may say ``stream`` (the source's name), ``group`` and ``field``: that of an
    entry which holds its row as JSON (``row``). An entry without it is given as a JSON object of its fields.
    """

    def __init__(self, url: str, *, topic: str, group: str) -> None:
        options = UrlOptions(url, ("stream", "group", "field"), setting="consume")
        self._stream = options.text("stream") or topic
        self._group = options.text("group") or group
        self._field = (options.text("field") or "row").encode()
        self._name = f"{shown(options.url)} {self._stream}"
        self._pending: bytes | None = _FROM_THE_START
        """From where on pending entries are claimed; None: all were."""
        # A read that is tried again unseen would leave behind what the first was given.
        ours: dict[str, Any] = {"retry": Retry(NoBackoff(), 0), "protocol": 2, "decode_responses": False}
        timeouts = {"socket_timeout": _ANSWER_SECONDS, "socket_connect_timeout": _ANSWER_SECONDS}
        try:
            self._client = redis.Redis.from_url(options.url, **ours, **timeouts)
            self._client.connection_pool.make_connection()
        except (ValueError, TypeError, AttributeError):
            raise SettingError(
                "consume", "the URL names no Redis", expected="redis://HOST:PORT/DATABASE?stream=NAME&group=NAME"
            ) from None

    def poll(self, most: int, wait_seconds: float) -> list[Message]:
        return self._asked(lambda: self._claimed(most) or self._new(most, wait_seconds))

    def commit(self, messages: Sequence[Message]) -> None:
        offsets = [message.offset for message in messages]
        if offsets:
            self._asked(lambda: self._client.xack(self._stream, self._group, *offsets))

    def close(self) -> None:
        self._client.close()

    def _claimed(self, most: int) -> list[Message]:
        """What was given before and never committed. Entries that the stream has dropped since are left out."""
        while self._pending is not None:
            start = self._pending
            following, entries, *_ = self._client.xautoclaim(self._stream, self._group, _NAME, 0, start, count=most)
            self._pending = None if following == _FROM_THE_START else following
            if entries:
                return [self._message(*entry) for entry in entries]
        return []

    def _new(self, most: int, wait_seconds: float) -> list[Message]:
        block = min(max(1, int(wait_seconds * 1000)), int(_ANSWER_SECONDS * 500))
        given = self._client.xreadgroup(self._group, _NAME, {self._stream: ">"}, count=most, block=block)
        return [self._message(*entry) for _, entries in given or () for entry in entries]

    def _message(self, offset: bytes, fields: dict[bytes, bytes]) -> Message:
        row = fields.get(self._field)
        if row is None:
            texts = {name.decode(errors="replace"): cell.decode(errors="replace") for name, cell in fields.items()}
            row = json.dumps(texts).encode()
        written_at = int(offset.partition(b"-")[0]) * (SECOND // 1000)
        return Message(self._stream, 0, offset.decode(), written_at, row)

    def _asked(self, request: Callable[[], _T]) -> _T:
        try:
            return request()
        except FAULTS as error:
            self._pending = _FROM_THE_START  # an answer that was lost may have given entries
            if isinstance(error, ResponseError) and str(error).startswith("NOGROUP"):
                return self._begun(request)
            raise translated(error, self._name, "stream") from error

    def _begun(self, request: Callable[[], _T]) -> _T:
        """The request, once the group is there: it begins with the stream's oldest entry."""
        try:
            self._client.xgroup_create(self._stream, self._group, id="0", mkstream=True)
        except FAULTS as error:
            if not str(error).startswith("BUSYGROUP"):
                raise translated(error, self._name, "stream") from error
        try:
            return request()
        except FAULTS as error:
            raise UnavailableError(f"stream {self._name}", f"its group vanished: {error}") from error
