"""The tutorial's commands, run in its order in an empty directory."""

from __future__ import annotations

from pathlib import Path

import pytest
from page import Reader


@pytest.mark.slow
def test_the_tutorial_runs_as_it_is_written(tmp_path: Path) -> None:
    with Reader(tmp_path) as reader:
        reader.follow("tutorial.md")

    assert reader.prediction, "the tutorial asks the server"
    assert (reader.cwd / "scores.parquet").stat().st_size > 0
