"""Prometheus metrics of the server, summed over its worker processes when there are several."""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable: where workers share their values; read when prometheus_client is first imported."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_LIVE = re.compile(r"gauge_live\w*_(\d+)\.db\Z")


class Metrics:
    """One set a process; `text` gives those of all workers."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        shared = os.environ.get(MULTIPROCESS)
        if shared:
            _forget_dead(Path(shared))
        registry = self._registry
        counted = partial(Counter, registry=registry)
        worst = partial(Gauge, registry=registry, multiprocess_mode="livemax")
        # What all workers would say alike, as far as each has looked.
        newest = partial(Gauge, registry=registry, multiprocess_mode="livemostrecent")
        self.requests = counted("inseam_requests", "Requests answered", ["endpoint", "route", "status"])
        self.seconds = Histogram(
            "inseam_prediction_seconds", "From request to answer", ["endpoint"], buckets=_BUCKETS, registry=registry
        )
        self.rows = counted("inseam_rows", "Rows predicted", ["endpoint"])
        self.missing = counted("inseam_rows_missing", "Rows without an online row", ["endpoint", "view"])
        self.stale = counted("inseam_rows_stale", "Rows with a stale online row", ["endpoint", "view"])
        self.online = counted("inseam_online_reads", "Reads of the online store", ["endpoint", "outcome"])
        self.online_open = worst(
            "inseam_online_open", "1 while the online store is left alone because it failed", ["endpoint"]
        )
        self.outcomes = counted("inseam_outcomes", "Outcomes taken", ["endpoint"])
        self.pushed = counted("inseam_pushed_rows", "Rows pushed to a stream and kept", ["source"])
        self.behind_rows = newest(
            "inseam_stream_behind_rows", "Pushed rows that are not in their table yet", ["source"]
        )
        self.behind_seconds = newest(
            "inseam_stream_behind_seconds", "Age of the oldest pushed row that is not in its table yet", ["source"]
        )
        self.boundary = newest(
            "inseam_view_boundary_timestamp_seconds", "Newest boundary whose values can be read, in Unix time", ["view"]
        )
        self.shed = counted("inseam_shed", "Requests refused to stay responsive", ["reason"])
        self.failures = counted("inseam_failures", "Requests that failed inside", ["endpoint"])
        self.log_bytes = counted("inseam_log_bytes", "Bytes appended to the prediction log")
        self.version = Gauge(
            "inseam_model_version",
            "Model version that answers",
            ["endpoint", "model"],
            registry=registry,
            multiprocess_mode="liveall",
        )
        self.broken = worst("inseam_promotion_broken", "1 while the newest promotion cannot be served", ["endpoint"])
        self.audit = newest(
            "inseam_audit_agreement", "Share of reads that agreed in the last audit", ["subject", "endpoint"]
        )
        self.lag = worst("inseam_loop_lag_seconds", "Event-loop lag")

        self._answered: dict[tuple[str, str, int], Counter] = {}
        self._timed: dict[str, Histogram] = {}

    def answered(self, endpoint: str, route: str, status: int, seconds: float) -> None:
        key = (endpoint, route, status)
        counter = self._answered.get(key)
        if counter is None:
            counter = self._answered[key] = self.requests.labels(endpoint, route, str(status))
        counter.inc()
        if route == "predict":
            timer = self._timed.get(endpoint)
            if timer is None:
                timer = self._timed[endpoint] = self.seconds.labels(endpoint)
            timer.observe(seconds)

    def text(self) -> bytes:
        if not os.environ.get(MULTIPROCESS):
            return generate_latest(self._registry)
        together = CollectorRegistry()
        multiprocess.MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)


def _forget_dead(directory: Path) -> None:
    """Drop live gauges of workers that are gone; their counters stay counted."""
    for path in directory.glob("gauge_live*.db"):
        match = _LIVE.search(path.name)
        if match is not None and not Path(f"/proc/{match[1]}").exists() and Path("/proc/self").exists():
            path.unlink(missing_ok=True)
