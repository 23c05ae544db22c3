"""How far Spark's workers are: the tasks that are done, of those of the stages that were begun."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from py4j.protocol import Py4JError

_LOOK_SECONDS = 0.5


class _Tally:
    """Stages by their number, with their tasks that are done and all of them."""

    def __init__(self, told: Callable[[int, int], None]) -> None:
        self._told = told
        self._stages: dict[int, tuple[int, int]] = {}

    def take(self, stages: Iterable[tuple[int, int, int]]) -> None:
        """Stages under way, as (number, tasks done, tasks). Those that are no more under way are done."""
        now = {number: (done, tasks) for number, done, tasks in stages}
        ended = {number: (tasks, tasks) for number, (_, tasks) in self._stages.items() if number not in now}
        self._stages |= ended | now
        if self._stages:
            self._told(sum(done for done, _ in self._stages.values()), sum(tasks for _, tasks in self._stages.values()))


@contextmanager
def watched_tasks(session: Any, told: Callable[[int, int], None], *, is_remote: bool) -> Iterator[None]:
    """``told`` hears (tasks done, tasks begun so far) while the block waits for Spark, from whatever thread."""
    tally = _Tally(told)
    with _heard(session, tally) if is_remote else _polled(session, tally):
        yield
    tally.take(())


@contextmanager
def _heard(session: Any, tally: _Tally) -> Iterator[None]:
    """Spark Connect says it by itself."""

    def handle(stages: Iterable[Any] | None, **_: Any) -> None:
        tally.take((stage.stage_id, stage.num_completed_tasks, stage.num_tasks) for stage in stages or ())

    session.registerProgressHandler(handle)
    try:
        yield
    finally:
        session.removeProgressHandler(handle)


@contextmanager
def _polled(session: Any, tally: _Tally) -> Iterator[None]:
    tracker = session.sparkContext.statusTracker()
    before = frozenset(tracker.getActiveStageIds())
    is_over = threading.Event()

    def look() -> None:
        while not is_over.wait(_LOOK_SECONDS):
            try:
                stages = [tracker.getStageInfo(number) for number in tracker.getActiveStageIds()]
            except Py4JError:
                return  # the session was closed meanwhile
            found = [stage for stage in stages if stage is not None and stage.stageId not in before]
            tally.take((stage.stageId, stage.numCompletedTasks, stage.numTasks) for stage in found)

    looking = threading.Thread(target=look, name="spark tasks", daemon=True)
    looking.start()
    try:
        yield
    finally:
        is_over.set()
        looking.join()
