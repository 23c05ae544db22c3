"""Promotion: one champion at every instant, however many promote and whenever they are killed."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from itertools import groupby
from pathlib import Path

import pytest

from inseam.ir.records import AliasRecord, RunRecord
from inseam.kernel.errors import RefusedError
from inseam.run.workspace import open as open_workspace

PROMOTE = """
import sys, inseam
workspace = inseam.open(sys.argv[1])
number = 1
while True:
    number = 3 - number
    workspace.promote("lapse", number, is_forced=True)
    print(number, flush=True)
"""


@pytest.fixture
def two_versions(served_project: Path, tmp_path: Path) -> Path:
    root = tmp_path / "copy"
    shutil.copytree(served_project, root)
    with open_workspace(root) as workspace:
        workspace.train("lapse", params={"n": 2}, can_promote=False)
    return root


@pytest.mark.slow
def test_killed_at_any_instant_there_is_one_champion_with_its_history(two_versions: Path) -> None:
    chance = random.Random(11)
    acknowledged: list[int] = []
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", PROMOTE, str(two_versions)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        # The first line tells that imports are done and the loop is on.
        acknowledged.append(int(process.stdout.readline()))
        time.sleep(chance.uniform(0.0, 0.6))
        process.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in process.stdout.read().split() if line in ("1", "2")]
        process.wait()

    with open_workspace(two_versions) as workspace:
        ledger = workspace.context.ledger
        alias = ledger.get(AliasRecord, "lapse", "champion")
        assert alias is not None
        swaps = [run for run in ledger.select(RunRecord, step="set_champion") if run.subject == "lapse"]
        assert swaps[-1].outputs["version"] == alias.version, "alias and history were written together"
        # What was answered has happened; each kill may have come after one more that was not answered. Who starts with
        # the version that is champion already swaps nothing.
        changes = len(list(groupby(acknowledged)))
        assert len(swaps) - 1 - changes in range(8)
        workspace.promote("lapse", alias.version, is_forced=True)


@pytest.mark.slow
def test_a_version_that_failed_its_gates_needs_force(two_versions: Path) -> None:
    definitions = two_versions / "shop" / "definitions.py"
    definitions.write_text(definitions.read_text().replace('at_least("roc_auc", 0.55)', 'at_least("roc_auc", 0.999)'))
    with open_workspace(two_versions) as workspace:
        trained = workspace.train("lapse")
        assert trained.champion is None
        assert not trained.verdict.is_passed
        with pytest.raises(RefusedError, match="roc_auc"):
            workspace.promote("lapse", trained.version.version)
        assert workspace.promote("lapse", trained.version.version, is_forced=True).version == trained.version.version
        assert workspace.roll_back("lapse").version == 1
