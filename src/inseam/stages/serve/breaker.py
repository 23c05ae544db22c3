"""A circuit breaker: a server that keeps failing is left alone for a while, and asked again by one caller at a time."""

from __future__ import annotations

import threading
import time
from enum import StrEnum


class BreakerState(StrEnum):
    CLOSED = "closed"
    """All is well: everybody may ask."""
    OPEN = "open"
    """Nobody may ask until the pause is over."""
    PROBING = "probing"
    """The pause is over: one caller asks, the others wait for what it finds."""


class Breaker:
    """It opens after ``failures`` in a row for ``pause_seconds``, twice as long after each failed probe, up to a bound.

    Thread-safe. Ask `may_try` first; who got True tells `succeeded` or `failed`.
    """

    def __init__(self, *, failures: int = 3, pause_seconds: float = 0.5, longest_seconds: float = 5.0) -> None:
        self._most = failures
        self._first_pause = pause_seconds
        self._longest = longest_seconds
        self._lock = threading.Lock()
        self._failed = 0
        self._pause = pause_seconds
        self._open_until = 0.0
        self.state = BreakerState.CLOSED

    def may_try(self) -> bool:
        if self.state is BreakerState.CLOSED:
            return True
        with self._lock:
            is_due = self.state is BreakerState.OPEN and time.monotonic() >= self._open_until
            if is_due:
                self.state = BreakerState.PROBING
            return is_due

    def succeeded(self) -> bool:
        """Whether this closed it."""
        if self._failed == 0:
            return False
        with self._lock:
            was, self.state = self.state, BreakerState.CLOSED
            self._failed = 0
            self._pause = self._first_pause
            return was is not BreakerState.CLOSED

    def failed(self) -> bool:
        """Whether this opened it."""
        with self._lock:
            self._failed += 1
            was = self.state
            if was is BreakerState.CLOSED and self._failed < self._most:
                return False
            if was is BreakerState.PROBING:
                self._pause = min(self._longest, 2 * self._pause)
            self.state = BreakerState.OPEN
            self._open_until = time.monotonic() + self._pause
            return was is BreakerState.CLOSED
