"""Messages of brokers into the log of a stream source: each is kept once, and only then let go of by the broker."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from inseam.kernel.errors import Problem, UnavailableError
from inseam.ports.progress import Progress, silent
from inseam.run.context import Context
from inseam.run.streaming import ROWS_AT_ONCE, intake

_WAIT_SECONDS = 1.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
Told = Callable[[Problem], None]
"""Hears, once, that the broker is away."""
_T = TypeVar("_T")


def _unheard(_: Problem) -> None:
    """Nobody listens."""


def consume(
    context: Context, name: str, *, is_until_idle: bool = False, told: Told | None = None, progress: Progress = silent
) -> int:
    """Put what is published for a source into its log until interrupted; how many messages there were.

    ``is_until_idle``: ends when the broker has no more. May be killed at any instant: what was not yet committed to the
    broker is given again, and a message's place there is its row's id. A message that is no row is kept as well, and is
    in quarantine when the log is drained. A broker that does not answer is asked again.
    """
    reader, log, consumer = intake(context, name), context.stream_log, context.consumer(name)
    told, taken = told or _unheard, 0
    try:
        while True:
            messages = _answer(lambda: consumer.poll(ROWS_AT_ONCE, _WAIT_SECONDS), told)
            if messages:
                log.append(name, reader.messages(messages))
                _answer(partial(consumer.commit, messages), told)
                taken += len(messages)
                progress(f"consume {name}", taken, None)
            elif is_until_idle:
                return taken
    finally:
        consumer.close()


def _answer(request: Callable[[], _T], told: Told) -> _T:
    """What a server answers: it is asked again, ever more slowly, while it does not."""
    pause = _FIRST_PAUSE
    while True:
        try:
            return request()
        except UnavailableError as error:
            if pause == _FIRST_PAUSE:
                told(error.problems[0])
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
