"""Counts and journals what the guard of an endpoint's online store notices."""

from __future__ import annotations

import time

from inseam.stages.serve.guarded_store import Notice
from inseam.stages.serve.journal import Journal
from inseam.stages.serve.metrics import Metrics

_AGAIN_SECONDS = 1.0
"""A fault is journaled once in this time: an outage fails every request."""
_OPEN = {Notice.OPENED: 1, Notice.CLOSED: 0}


class OnlineWatch:
    """Call it with each notice, and the fault where there is one."""

    def __init__(self, endpoint: str, metrics: Metrics, journal: Journal) -> None:
        self._endpoint = endpoint
        self._journal = journal
        self._counters = {notice: metrics.online.labels(endpoint, notice.value) for notice in Notice}
        self._open = metrics.online_open.labels(endpoint)
        self._open.set(0)
        self._told = 0.0

    def __call__(self, notice: Notice, fault: BaseException | None) -> None:
        self._counters[notice].inc()
        if notice in _OPEN:
            self._open.set(_OPEN[notice])
            self._journal.say("warning", event=f"online store {notice.value}", endpoint=self._endpoint)
        if fault is not None and time.monotonic() - self._told >= _AGAIN_SECONDS:
            self._told = time.monotonic()
            self._journal.failure(fault, endpoint=self._endpoint, reading="online store")
