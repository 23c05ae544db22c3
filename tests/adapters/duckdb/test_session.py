"""The engine's scratch folders: those of killed processes go, those in use stay."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from inseam.adapters.duckdb.session import sweep_scratch


def test_only_the_folders_of_the_dead_are_removed(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    dead, alive, other = (tmp_path / f"duckdb-{n}-x" for n in (process.pid, os.getpid(), "not_a_number"))
    for folder in (dead, alive, other):
        folder.mkdir()
        (folder / "spill").write_text("rows")

    sweep_scratch(tmp_path)

    assert (dead.exists(), alive.exists(), other.exists()) == (False, True, True)


def test_a_directory_that_is_not_there_is_clean(tmp_path: Path) -> None:
    sweep_scratch(tmp_path / "nothing")

    assert not (tmp_path / "nothing").exists()
