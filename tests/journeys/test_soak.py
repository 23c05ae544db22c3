"""Rows are pushed, loaded and read while all that moves them is killed: none is lost, and every read was right."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from inseam.testing.redis import is_installed, redis_server
from inseam.testing.soak.trial import Trial


@pytest.mark.slow
def test_what_is_acknowledged_is_kept_and_every_read_agrees(tmp_path: Path) -> None:
    """The short form of ``python -m inseam.testing.soak``; where there is no Redis, LMDB keeps the online rows."""
    with ExitStack() as held:
        redis = held.enter_context(redis_server("--appendonly", "yes")) if is_installed() else None
        trial = Trial(tmp_path / "project", redis, seed=4)
        held.callback(trial.close)
        outcome = trial.run(12, pause_seconds=4)
    assert outcome.is_clean, outcome
    assert outcome.acknowledged
    assert outcome.reads
    assert sum(outcome.deaths.values()) > 3, "each process dies once at the end, and some before"
