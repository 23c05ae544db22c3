"""pytest runs a project's examples: ``pytest -p inseam.testing.plugin inseam.toml``, one test an example.

In a ``conftest.py``: ``pytest_plugins = ["inseam.testing.plugin"]``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from inseam.define.example import Example
    from inseam.run.examples import ExampleResult


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A project's settings stand for its examples."""
    if file_path.name == "inseam.toml":
        collected: pytest.Collector = ProjectFile.from_parent(parent, path=file_path)
        return collected
    return None


class ExampleFailedError(Exception):
    """An example whose values are others, or cannot be computed."""

    def __init__(self, result: ExampleResult) -> None:
        self.result = result
        super().__init__(_told(result))


class ProjectFile(pytest.File):
    """The examples of one project, run in one workspace of the environment that ``INSEAM_ENVIRONMENT`` names."""

    def collect(self) -> Iterator[pytest.Item]:
        from inseam.run.workspace import open as open_workspace

        with open_workspace(self.path.parent) as workspace:
            for number, example in enumerate(workspace.project.examples):
                yield ExampleItem.from_parent(self, name=f"{number}: {example.title}", example=example)

    def setup(self) -> None:
        from inseam.run.examples import Examples
        from inseam.run.workspace import open as open_workspace

        self.workspace = open_workspace(self.path.parent)
        # Functions are imported again by name: all examples are of the declarations that were collected.
        self.examples = Examples(self.workspace.context)

    def teardown(self) -> None:
        self.examples.__exit__(None, None, None)
        self.workspace.close()


class ExampleItem(pytest.Item):
    """One example."""

    def __init__(self, *, example: Example, **told: Any) -> None:
        super().__init__(**told)
        self.number = int(self.name.partition(":")[0])
        self.place = example.place

    def runtest(self) -> None:
        examples = self.parent.examples  # type: ignore[union-attr]
        result = examples.run(examples.chosen()[self.number])
        if not result.is_passed:
            raise ExampleFailedError(result)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, ExampleFailedError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path | str, int | None, str]:
        if self.place is None:
            return self.path, None, self.name
        return self.place.file, self.place.line - 1, self.name


def _told(result: ExampleResult) -> str:
    lines = [f"{result.subject}: {result.title}", f"  at {result.place}"]
    lines += [f"  row {d.row}, {d.column}: expected {d.expected!r}, found {d.found!r}" for d in result.differences]
    return "\n".join([*lines, *(str(problem) for problem in result.problems)])
