"""A bounded pool of connections to a server, for threads, carried across a fork: what adapters of servers share."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Generic, Protocol, TypeVar


class Connection(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=Connection)


class BusyError(TimeoutError):
    """All connections of a pool are in use."""


class Pool(Generic[C]):
    """``connect`` opens a connection before a deadline, an instant of `time.monotonic`; at most ``size`` are open.

    A connection is opened by the thread that needs it, so that nothing runs in the background, and nothing has to be
    started again when the server is back.
    """

    def __init__(self, connect: Callable[[float], C], size: int) -> None:
        self._connect = connect
        self._size = size
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._idle: deque[C] = deque()
        self._places: SimpleQueue[None] = SimpleQueue()  # a semaphore at a fifth of its price
        for _ in range(self._size):
            self._places.put(None)

    @contextmanager
    def borrow(self, deadline: float, *, can_wait: bool = True) -> Iterator[C]:
        """An idle connection or a new one; `BusyError` when all are in use, until the deadline or now.

        After an exception it is closed: replies may still be on their way.
        """
        self._own()
        places, idle = self._places, self._idle
        try:
            places.get(timeout=max(0.0, deadline - time.monotonic()) if can_wait else 0.0)
        except Empty:
            raise BusyError(f"all {self._size} connections are in use") from None
        try:
            connection = _last(idle) or self._connect(deadline)
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
            idle.append(connection)
        finally:
            places.put(None)

    def close(self) -> None:
        """Close the idle connections; the next use opens new ones."""
        self._own()
        while (connection := _last(self._idle)) is not None:
            connection.close()

    def _own(self) -> None:
        """After a fork: the parent's connections are the parent's, and are left as they are."""
        if self._pid != os.getpid():
            self._reset()


def _last(idle: deque[C]) -> C | None:
    try:
        return idle.pop()
    except IndexError:  # another thread may have taken it between a look and this
        return None
