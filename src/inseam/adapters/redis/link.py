"""One connection to a Redis server: requests out, replies in, all before a deadline.

redis-py opens it (address, TLS, authentication, database) and hiredis reads it. In between this module talks to the
socket itself: redis-py's own pipeline costs four times as much for a small read (`bench/online_redis.py`), and its
timeouts count from each packet, so that a server which sends a byte now and then would hold a reader for ever.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import hiredis

from inseam.adapters.redis.address import Address

_READ_BYTES = 1 << 16


class Link:
    """Not thread-safe. After any exception it is of no use: replies may still be on their way."""

    def __init__(self, address: Address, deadline: float) -> None:
        self._connection = address.connect(deadline)
        self._socket: socket.socket = self._connection._get_socket()
        self._replies = hiredis.Reader()

    def send(self, request: bytes, deadline: float) -> None:
        self._socket.settimeout(_left(deadline))
        self._socket.sendall(request)

    def receive(self, count: int, deadline: float) -> list[Any]:
        """The next ``count`` replies; one that is an error comes as a `hiredis.ReplyError`."""
        found: list[Any] = []
        take = self._replies.gets
        while len(found) < count:
            reply = take()
            if reply is False:  # not whole yet: RESP2 has no booleans
                self._socket.settimeout(_left(deadline))
                data = self._socket.recv(_READ_BYTES)
                if not data:
                    raise ConnectionResetError("the server closed the connection")
                self._replies.feed(data)
            else:
                found.append(reply)
        return found

    def close(self) -> None:
        self._connection.disconnect()


class Links:
    """A bounded pool of links to one server, for threads, carried across a fork."""

    def __init__(self, address: Address, size: int) -> None:
        self.address = address
        self._size = size
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._idle: deque[Link] = deque()
        self._places = threading.BoundedSemaphore(self._size)

    @contextmanager
    def borrow(self, deadline: float) -> Iterator[Link]:
        """An idle link, or a new one; TimeoutError when all are in use until the deadline."""
        link = self.take(deadline)
        try:
            yield link
        except BaseException:
            self.discard(link)
            raise
        self.give_back(link)

    def take(self, deadline: float) -> Link:
        if self._pid != os.getpid():
            self._reset()  # the parent's links are the parent's
        if not self._places.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise TimeoutError(f"all {self._size} connections are in use")
        try:
            return self._idle.pop()
        except IndexError:
            pass
        try:
            return Link(self.address, deadline)
        except BaseException:
            self._places.release()
            raise

    def give_back(self, link: Link) -> None:
        self._idle.append(link)
        self._places.release()

    def discard(self, link: Link) -> None:
        """Close a link that failed."""
        link.close()
        self._places.release()

    def close(self) -> None:
        """Close the idle links; the next use opens new ones."""
        while True:
            try:
                self._idle.pop().close()
            except IndexError:
                return


def _left(deadline: float) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("the deadline has passed")
    return seconds
