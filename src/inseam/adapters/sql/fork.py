"""Keeps databases usable on both sides of a fork.

SQLite's locks belong to a process while its notes on them are copied by a fork, so a child that opens a database which
its parent had open believes in locks that nobody holds. Therefore a fork waits for running transactions and closes
every connection first; both sides open new ones when they next need them.
"""

from __future__ import annotations

import os
import threading
import weakref
from types import TracebackType
from typing import Protocol


class Closable(Protocol):
    def close(self) -> None: ...


class _Guard:
    """Counts the transactions that are running in this process; a fork happens between them."""

    def __init__(self) -> None:
        self.open_databases: weakref.WeakSet[Closable] = weakref.WeakSet()
        self._renew()

    def _renew(self) -> None:
        self._idle = threading.Condition(threading.Lock())
        self._running = 0
        self._is_forking = False

    def __enter__(self) -> None:
        with self._idle:
            # Not nested anywhere: a transaction never starts another.
            self._idle.wait_for(lambda: not self._is_forking)
            self._running += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._idle:
            self._running -= 1
            if self._running == 0 and self._is_forking:
                self._idle.notify_all()

    def before(self) -> None:
        self._idle.acquire()
        self._is_forking = True
        self._idle.wait_for(lambda: self._running == 0)
        for database in list(self.open_databases):
            database.close()

    def after_in_parent(self) -> None:
        self._is_forking = False
        self._idle.notify_all()
        self._idle.release()

    def after_in_child(self) -> None:
        self._renew()


GUARD = _Guard()
"""``with GUARD:`` around everything that uses a connection."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=GUARD.before, after_in_parent=GUARD.after_in_parent, after_in_child=GUARD.after_in_child)
