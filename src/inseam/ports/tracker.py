"""Where runs are tracked for people to look at: MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol


class TrackedRun(Protocol):
    """One open run of an experiment."""

    id: str

    def log(
        self,
        *,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None: ...

    def log_files(self, directory: Path, under: str) -> None:
        """Copy the files of a directory into the run's artefacts."""

    def log_model(self, directory: Path, *, name: str, version: int, signature: Mapping[str, Any]) -> None:
        """Register a saved model's directory as this version of a registered model."""


class Tracker(Protocol):
    def run(self, experiment: str, name: str) -> AbstractContextManager[TrackedRun]:
        """Open a run; an exception inside marks it as failed."""

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Mirror an alias that the ledger has set."""

    def url(self, run_id: str) -> str | None:
        """Where a person can look at the run, when there is such a place."""
