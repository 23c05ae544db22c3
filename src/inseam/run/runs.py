"""Each execution of a step is a run in the ledger: begun before, finished or failed after."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from uuid_utils import uuid7

from inseam.ir.records import RunRecord
from inseam.kernel import clock
from inseam.ports.ledger import Ledger


@dataclass
class OpenRun:
    """What the step wants remembered; ``outputs`` must be JSON-able."""

    id: str
    outputs: dict[str, Any] = field(default_factory=dict)


@contextmanager
def run(
    ledger: Ledger, step: str, subject: str, fingerprint: str = "", inputs: dict[str, Any] | None = None
) -> Iterator[OpenRun]:
    """Record a run of ``step`` on ``subject`` around a block; what it raises is recorded and raised on."""
    record = RunRecord(str(uuid7()), step, subject, fingerprint, "running", clock.now(), inputs=inputs or {})
    ledger.insert(record)
    opened = OpenRun(record.id)
    try:
        yield opened
    except BaseException as error:
        told = f"{type(error).__name__}: {error}"[:2_000]
        ledger.put(replace(record, status="failed", finished_at=clock.now(), outputs=opened.outputs, error=told))
        raise
    ledger.put(replace(record, status="succeeded", finished_at=clock.now(), outputs=opened.outputs))
