"""A tracker that keeps what it is told in lists, for tests that are not about MLflow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class ListRun:
    """`TrackedRun`. ``status``: running | finished | failed."""

    id: str
    experiment: str
    status: str = "running"
    params: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    models: list[tuple[str, int]] = field(default_factory=list)

    def log(
        self,
        *,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        self.params |= params or {}
        self.metrics |= metrics or {}
        self.tags |= tags or {}

    def log_files(self, directory: Path, under: str) -> None:
        self.files += sorted(f"{under}/{path.name}" for path in directory.iterdir())

    def log_model(self, directory: Path, *, name: str, version: int, signature: Mapping[str, Any]) -> None:
        self.models.append((name, version))


class ListTracker:
    """`Tracker`. With ``is_down`` every mirrored alias fails, as a server that cannot be reached would."""

    def __init__(self, *, is_down: bool = False) -> None:
        self.runs: list[ListRun] = []
        self.aliases: dict[tuple[str, str], int] = {}
        self.is_down = is_down

    @contextmanager
    def run(self, experiment: str, name: str) -> Iterator[ListRun]:
        run = ListRun(f"run-{len(self.runs)}", experiment)
        self.runs.append(run)
        try:
            yield run
        except BaseException:
            run.status = "failed"
            raise
        run.status = "finished"

    def set_alias(self, name: str, alias: str, version: int) -> None:
        if self.is_down:
            raise ConnectionError("the tracker cannot be reached")
        self.aliases[name, alias] = version

    def url(self, run_id: str) -> str | None:
        return None
