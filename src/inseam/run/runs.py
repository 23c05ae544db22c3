"""Each execution of a step is a run in the ledger: begun before, finished or failed after.

A run that goes on holds a lease. One that is recorded as running and holds none was killed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from uuid_utils import uuid7

from inseam.ir.records import RunRecord
from inseam.kernel import clock
from inseam.kernel.errors import ConflictError
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
    opened = OpenRun(record.id)
    with _alive(ledger, record):
        ledger.insert(record)
        try:
            yield opened
        except BaseException as error:
            told = f"{type(error).__name__}: {error}"[:2_000]
            ledger.put(replace(record, status="failed", finished_at=clock.now(), outputs=opened.outputs, error=told))
            raise
        ledger.put(replace(record, status="succeeded", finished_at=clock.now(), outputs=opened.outputs))


@contextmanager
def _alive(ledger: Ledger, record: RunRecord) -> Iterator[None]:
    """Hold the run's lease. To lose it, after a long silence, costs nothing: what the run did is done."""
    lease = ledger.lease(f"run:{record.id}")
    lease.__enter__()
    try:
        yield
    finally:
        with suppress(ConflictError):
            lease.__exit__(None, None, None)


def close_killed(ledger: Ledger) -> None:
    """Record the runs whose processes are gone as failed. When they ended nobody knows."""
    for record in ledger.select(RunRecord, status="running"):
        with suppress(ConflictError), ledger.lease(f"run:{record.id}"):
            # Taken: it may have come to its end since we looked.
            if ledger.get(RunRecord, record.id) == record:
                ledger.put(replace(record, status="failed", error="its process was killed, or the machine went down"))
