"""A tracker that keeps what it is told in memory, for tests that are not about MLflow."""

from __future__ import annotations

from inseam.kernel.errors import NotFoundError
from inseam.ports.tracker import Training


class ListTracker:
    """`Tracker`. While ``is_down`` every call fails, as with a server that cannot be reached."""

    def __init__(self, *, is_down: bool = False) -> None:
        self.trainings: dict[str, Training] = {}
        self.files: dict[str, list[str]] = {}
        """The paths that came with each training, below its directory."""
        self.aliases: dict[tuple[str, str], str] = {}
        """Training ids."""
        self.is_down = is_down

    def record(self, training: Training) -> None:
        self._reach()
        for directory in (training.files, training.bundle):
            if not directory.is_dir():
                raise FileNotFoundError(directory)
        found = (path for path in training.files.rglob("*") if path.is_file())
        self.files[training.id] = sorted(path.relative_to(training.files).as_posix() for path in found)
        self.trainings[training.id] = training

    def set_alias(self, model: str, alias: str, id: str) -> None:
        self._reach()
        if id not in self.trainings:
            raise NotFoundError(f"model:{model}", f"no training {id} was recorded")
        self.aliases[model, alias] = id

    def url(self, id: str) -> str | None:
        return None

    def _reach(self) -> None:
        if self.is_down:
            raise ConnectionError("the tracker cannot be reached")
