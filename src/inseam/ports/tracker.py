"""Where trainings are tracked for people to look at: MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Training:
    """All of one registered model version that people may want to look at."""

    id: str
    """The version's own, the same however often it is recorded."""
    model: str
    version: int
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    """By name; ``/`` groups them. Names may hold any text that a column's values hold."""
    tags: Mapping[str, str]
    signature: Mapping[str, Mapping[str, str]]
    """``{"inputs": {column: type}, "outputs": {name: type}}``, types as in `inseam.kernel.types.DataType`."""
    bundle: Path
    """The saved model's directory."""
    files: Path
    """A directory whose whole tree is kept with the run: figures and tables."""
    finished_at: int


class Tracker(Protocol):
    """A mirror of what the ledger holds. Any exception means that it does not have it: the caller asks again later."""

    def record(self, training: Training) -> None:
        """Keep it whole. After a failure or a kill half-way the next call completes it; nothing is there twice.

        `ConnectionError` when the tracker cannot be reached at all, so that asking for others is in vain.
        """

    def set_alias(self, model: str, alias: str, id: str) -> None:
        """Let the alias name the version of this training. `NotFoundError` when it was never recorded."""

    def url(self, id: str) -> str | None:
        """Where a person can look at a recorded training, when there is such a place."""
