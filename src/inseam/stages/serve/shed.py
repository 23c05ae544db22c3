"""Load shedding: a worker that cannot keep up says so at once, and stays fast for what it has taken."""

from __future__ import annotations

import asyncio

from inseam.stages.serve.settings import ServeSettings

_BEAT_SECONDS = 0.1


class Shedder:
    """Counts what is in flight and measures how late the event loop runs. Used from one event loop."""

    def __init__(self, settings: ServeSettings) -> None:
        self._settings = settings
        self._requests = 0
        self._rows = 0
        self.lag = 0.0
        self._beat: asyncio.TimerHandle | None = None

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._beat = loop.call_later(_BEAT_SECONDS, self._measure, loop.time() + _BEAT_SECONDS)

    def stop(self) -> None:
        if self._beat is not None:
            self._beat.cancel()

    def reason(self, rows: int) -> str | None:
        """Why a request with so many rows is refused now, None when it is taken. A lone request is always taken."""
        if self._requests == 0:
            return None
        if self._requests >= self._settings.max_in_flight:
            return "requests"
        if self._rows + rows > self._settings.max_in_flight_rows:
            return "rows"
        if self.lag > self._settings.max_lag_seconds:
            return "lag"
        return None

    def enter(self, rows: int) -> None:
        self._requests += 1
        self._rows += rows

    def leave(self, rows: int) -> None:
        self._requests -= 1
        self._rows -= rows

    def _measure(self, expected: float) -> None:
        loop = asyncio.get_running_loop()
        self.lag = max(0.0, loop.time() - expected)
        self.start()
