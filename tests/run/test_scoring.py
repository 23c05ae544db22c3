"""Batch scores: killed at any instant, a file and a table have all rows of a scoring or none, and none twice."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from inseam.kernel.clock import HOUR, parse_instant
from inseam.run.workspace import Workspace
from inseam.run.workspace import open as open_workspace

YEAR_END = parse_instant("2024-12-31T00:00:00Z")
SCORE = f"""
import sys
from pathlib import Path
import inseam
with inseam.open(sys.argv[1]) as workspace:
    for number in range(int(sys.argv[2]), 1000):
        instant = {YEAR_END} + number * {HOUR}
        workspace.score("lapse", as_of=instant)
        workspace.score("lapse", as_of=instant, out=Path(sys.argv[1], "scores.parquet"))
        print(number, flush=True)
"""


def scored_until_killed(root: Path, first: int, seconds: float) -> int:
    """Score hour after hour; the last hour that was acknowledged before the process was killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCORE, str(root), str(first)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    process.stdout.readline()  # imports are done and the loop is on
    time.sleep(seconds)
    process.kill()
    rest = process.communicate()[0].split()
    return max([first, *map(int, rest)])


def rows_by_instant(workspace: Workspace) -> Counter[int]:
    found: Counter[int] = Counter()
    for file in workspace.context.tables.snapshot("scores/lapse").files:
        found.update(pq.read_table(file)["event_time"].cast("int64").to_pylist())
    return found


@pytest.mark.slow
def test_killed_at_any_instant_scores_are_whole_and_there_once(served_project: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(served_project, root, ignore=shutil.ignore_patterns("scores"))  # other tests wrote those
    chance = random.Random(3)
    last = 0
    for _ in range(3):
        last = scored_until_killed(root, last, chance.uniform(0.0, 0.4))
        file = pq.read_table(root / "scores.parquet")
        assert len(file["event_time"].unique()) == 1

    with open_workspace(root) as workspace:
        before, whole = rows_by_instant(workspace), Counter[int]()
        for number in range(last + 2):
            instant = YEAR_END + number * HOUR
            again = workspace.score("lapse", as_of=instant)
            whole[instant] = workspace.score("lapse", as_of=instant, out=root / "scores.parquet").rows
            assert again.is_repeated or number > last, "what was acknowledged is there"
            assert before[instant] in (0, whole[instant]), "all rows of a scoring, or none"
        assert rows_by_instant(workspace) == whole
    assert [path.name for path in root.glob(".*.partial")] == []
