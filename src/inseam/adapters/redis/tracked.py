"""Rows that were read lately, for as long as the server has not said that they changed (`CLIENT TRACKING`).

The server pushes what changed over the connection that read it, between the replies, where the change happened. So what
is held after some push is the server's state before the first change that was not told yet; and what comes by several
replies, with no push about any of it between them, is the state at the last. Decision 035 says the rest.
"""

from __future__ import annotations

import math
import select
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import hiredis

from inseam.adapters.redis.address import Address
from inseam.adapters.redis.layout import Read, command, life, read_head
from inseam.adapters.redis.link import PARTIAL, Link
from inseam.ports.pool import BusyError, Pool

_TRACK = command(b"HELLO", b"3") + command(b"CLIENT", b"TRACKING", b"ON")
_FIRST = (7, 0, 9)
"""Servers before it push into the midst of a transaction's replies, or end when their tracking table is full."""
_TRUSTED_SECONDS = 1.0
"""How long a server is believed to be there without being asked: so old may a row be, whatever the network does."""
_ROW_BYTES = 120
"""What a remembered row takes beside its bytes and its key's."""
_ALL = b""
_Fetch = Callable[[Sequence[bytes], float], list[Any]]


def can_track(hello: Mapping[bytes, Any]) -> bool:
    """By what the server says of itself."""
    numbers = hello.get(b"version", b"").split(b".")
    return all(map(bytes.isdigit, numbers)) and tuple(map(int, numbers)) >= _FIRST


class TrackedLink(Link):
    """A link that remembers what was read through it, and sends nothing that writes.

    A `hiredis.ReplyError` when the server does not track.
    """

    def __init__(self, address: Address, cache_bytes: int, deadline: float) -> None:
        super().__init__(address, deadline)
        self._arrivals = select.poll()
        self._arrivals.register(self._socket, select.POLLIN)
        self._most = cache_bytes
        self._bytes = 0
        self._held: dict[bytes, dict[bytes, bytes | None]] = {}
        """Replies by the head of a read and its tail, the heads that were first read first."""
        self._told_of: set[bytes] = set()
        """Heads whose buckets have changed since the server was asked last; `_ALL`: all of them."""
        self._end = math.inf
        """When the first of the buckets expires: the server may be late to tell."""
        self._asked_at = -math.inf
        self._news: object = None
        """When the server was asked last, and what `Tracked` knew then."""
        self.send(_TRACK, deadline)
        for reply in self.receive(2, deadline):
            if isinstance(reply, hiredis.ReplyError):
                self.close()
                raise reply

    def read(self, reads: Sequence[Read], news: object, deadline: float) -> list[Any]:
        """The replies of one state, which is not older than ``news`` nor than a second."""
        self._listen()
        held = self._held
        asked = reads
        if self._news is news and time.monotonic() - self._asked_at < _TRUSTED_SECONDS:
            asked = [read for read in reads if read[0] not in held or read[1] not in held[read[0]]]
            if not asked:
                return [held[head][tail] for head, tail in reads]
        found, ends = self._ask(asked, self.pipeline, news, deadline)
        if self._told_of and (_ALL in self._told_of or not self._told_of.isdisjoint(head for head, _ in reads)):
            # Replies may lie on both sides of a change, and what was held before it.
            found, ends = self._ask(reads, self.transact, news, deadline)
        replies = [found[read] if read in found else held[read[0]][read[1]] for read in reads]
        self._remember(found, ends)
        return replies

    def _listen(self) -> None:
        """Take what the server has pushed, without waiting for more."""
        while True:
            while (push := self._replies.gets()) is not PARTIAL:
                self._told(push)
            if not self._arrivals.poll(0):
                break
            self._socket.settimeout(0.0)
            try:
                self._feed()
            except (BlockingIOError, ssl.SSLWantReadError):
                break
        self._expire()

    def _told(self, push: list[Any]) -> None:
        if push[0] == b"invalidate":
            if push[1] is None:
                self._forget_all()
            else:
                self._forget([read_head(key) for key in push[1]])

    def _ask(
        self, reads: Sequence[Read], by: _Fetch, news: object, deadline: float
    ) -> tuple[dict[Read, Any], dict[bytes, float]]:
        """Replies by read, and the ends of buckets that were not held, by head."""
        self._told_of.clear()
        asked_at = time.monotonic()
        new = [head for head in {head for head, _ in reads} if head not in self._held]
        replies = by([*map(b"".join, reads), *map(life, new)], deadline)
        self._asked_at, self._news = asked_at, news
        self._expire()
        left = zip(new, replies[len(reads) :], strict=True)
        ends = {head: asked_at + ms / 1000 if ms >= 0 else math.inf for head, ms in left if isinstance(ms, int)}
        return dict(zip(reads, replies, strict=False)), ends

    def _remember(self, found: Mapping[Read, Any], ends: Mapping[bytes, float]) -> None:
        """Replies of buckets whose end is known, which those are not that changed while they were asked for."""
        held = self._held
        for head, end in ends.items():
            held[head] = {}
            self._end = min(self._end, end)
        for (head, tail), reply in found.items():
            if head in held and tail not in held[head] and not isinstance(reply, hiredis.ReplyError):
                held[head][tail] = reply
                self._bytes += _size(tail, reply)
        while self._bytes > self._most:
            self._forget([next(iter(held))])

    def _expire(self) -> None:
        """Forget everything when a bucket's time is over: the server tells it when it finds it, which may be late."""
        if time.monotonic() >= self._end:
            self._forget_all()

    def _forget_all(self) -> None:
        self._forget([*self._held, _ALL])
        self._end = math.inf

    def _forget(self, heads: Sequence[bytes]) -> None:
        self._told_of.update(heads)
        for head in heads:
            self._bytes -= sum(_size(tail, reply) for tail, reply in self._held.pop(head, {}).items())


class Tracked:
    """The one tracked link to a server, for a thread at a time."""

    def __init__(self, address: Address, cache_bytes: int) -> None:
        self._links = Pool(lambda deadline: TrackedLink(address, cache_bytes, deadline), 1)
        self._news = object()

    def read(self, reads: Sequence[Read], deadline: float) -> list[Any] | None:
        """Their replies; None while another thread reads."""
        try:
            with self._links.borrow(deadline, can_wait=False) as link:
                return link.read(reads, self._news, deadline)
        except BusyError:
            return None

    def doubt(self) -> None:
        """Somebody may have seen by another link what is not told here yet: nobody may see now what was before it."""
        self._news = object()

    def close(self) -> None:
        self._links.close()


def _size(tail: bytes, reply: bytes | None) -> int:
    return len(tail) + len(reply or b"") + _ROW_BYTES
