"""Rows pushed over HTTP: the pushes of one moment share one durable transaction, away from the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from inseam.kernel.errors import DataError, InseamError, NotFoundError, RefusedError
from inseam.stages.serve.request import RequestRefusedError

_MOST = 256
"""Pushes of one transaction."""
_STATUS: dict[type[Exception], int] = {DataError: 422, NotFoundError: 404, RefusedError: 409}


@dataclass(frozen=True, slots=True)
class Pushed:
    """One request. ``key`` names rows without an id of their own by their places; ``is_lines``: JSON lines."""

    source: str
    body: bytes
    key: str
    is_lines: bool


class Streams(Protocol):
    """What takes pushed rows, as the run hands it to the server."""

    def take(self, pushed: Sequence[Pushed]) -> Sequence[int | InseamError]:
        """Make pushes durable together: of each how many rows it had, or why none of them was taken."""

    def backlog(self) -> Mapping[str, tuple[int, float]]:
        """By source: the rows that are not in its table yet, and the age of the oldest in seconds."""

    def boundaries(self) -> Mapping[str, int]:
        """By view: the newest boundary of which all values are online."""


class PushDesk:
    """Collects pushes while a transaction is on its way. Used from one event loop."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._waiting: list[tuple[Pushed, asyncio.Future[int]]] = []
        self._work: asyncio.Task[None] | None = None

    async def push(self, pushed: Pushed) -> int:
        """How many rows are now durable; `RequestRefusedError` 404, 409 or 422 when none is.

        Whatever else keeps them from being durable is raised as it is.
        """
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((pushed, future))
        if self._work is None:
            self._work = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
            try:
                outcomes: Sequence[int | Exception] = await asyncio.to_thread(
                    self._streams.take, [pushed for pushed, _ in group]
                )
            except Exception as error:  # noqa: BLE001 - it is each waiting request's to tell
                outcomes = [error] * len(group)
            for (_, future), outcome in zip(group, outcomes, strict=True):
                if not future.done():  # its request may be gone
                    _settle(future, outcome)
        self._work = None


def _settle(future: asyncio.Future[int], outcome: int | Exception) -> None:
    if isinstance(outcome, int):
        future.set_result(outcome)
        return
    status = _STATUS.get(type(outcome))
    if status is not None and isinstance(outcome, InseamError):
        future.set_exception(RequestRefusedError(status, *outcome.problems))
    else:
        future.set_exception(outcome)
