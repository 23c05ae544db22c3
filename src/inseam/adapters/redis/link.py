"""One connection to a Redis server: requests out, replies in, all before a deadline.

redis-py opens it (address, TLS, authentication, database) and hiredis reads it. In between this module talks to the
socket itself: redis-py's own pipeline costs four times as much for a small read (`bench/online_redis.py`), and its
timeouts count from each packet, so that a server which sends a byte now and then would hold a reader for ever.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from typing import Any

import hiredis
from hiredis import PushNotification

from inseam.adapters.redis.address import Address
from inseam.adapters.redis.layout import EXEC, MULTI, Watched, command
from inseam.ports.pool import Pool

_READ_BYTES = 1 << 16
PARTIAL = object()
"""What the reader gives when no reply is whole yet."""


class Link:
    """Not thread-safe. After any exception it is of no use: replies may still be on their way."""

    def __init__(self, address: Address, deadline: float) -> None:
        self._connection = address.connect(deadline)
        self._socket: socket.socket = self._connection._get_socket()
        self._replies = hiredis.Reader(notEnoughData=PARTIAL)

    def transact(self, commands: Sequence[bytes], deadline: float, watched: Watched | None = None) -> list[Any]:
        """The replies of commands that are one transaction: no other client's commands fall between them.

        No reply where the ``watched`` key lets nothing be sent.
        """
        if len(commands) == 1 and watched is None:
            return self.pipeline(commands, deadline)
        done: Any = None
        while done is None:  # what was watched has changed: it is looked at again
            if watched is not None:
                looks = (command(b"WATCH", watched.key), command(b"GET", watched.key))
                is_watched, held = self.pipeline(looks, deadline)
                if hiredis.ReplyError in (type(is_watched), type(held)):
                    return [first_error((is_watched, held))] * len(commands)
                if not watched.may_go_on(held):
                    self.pipeline([command(b"UNWATCH")], deadline)
                    return []
            self.send(b"".join((MULTI, *commands, EXEC)), deadline)
            *queued, done = self.receive(len(commands) + 2, deadline)
        if isinstance(done, list):
            return done
        return [first_error((*queued, done))] * len(commands)

    def pipeline(self, commands: Sequence[bytes], deadline: float) -> list[Any]:
        """The replies of commands between which those of others may fall."""
        self.send(b"".join(commands), deadline)
        return self.receive(len(commands), deadline)

    def send(self, request: bytes, deadline: float) -> None:
        self._socket.settimeout(_left(deadline))
        self._socket.sendall(request)

    def receive(self, count: int, deadline: float) -> list[Any]:
        """The next ``count`` replies; one that is an error comes as a `hiredis.ReplyError`."""
        found: list[Any] = []
        take = self._replies.gets
        while len(found) < count:
            reply = take()
            if reply is PARTIAL:
                self._socket.settimeout(_left(deadline))
                self._feed()
            elif type(reply) is PushNotification:
                self._told(reply)
            else:
                found.append(reply)
        return found

    def _feed(self) -> None:
        """Give the reader what the socket has next."""
        data = self._socket.recv(_READ_BYTES)
        if not data:
            raise ConnectionResetError("the server closed the connection")
        self._replies.feed(data)

    def _told(self, push: list[Any]) -> None:
        """What the server says between replies, which it does when it was asked to (`TrackedLink`)."""

    def close(self) -> None:
        self._connection.disconnect()


class Links(Pool[Link]):
    """The links to one server."""

    def __init__(self, address: Address, size: int) -> None:
        super().__init__(lambda deadline: Link(address, deadline), size)
        self.address = address


def first_error(replies: Sequence[Any]) -> hiredis.ReplyError:
    """Of a transaction that was not done: it says why, the last one says only that."""
    return next(reply for reply in replies if isinstance(reply, hiredis.ReplyError))


def _left(deadline: float) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("the deadline has passed")
    return seconds
