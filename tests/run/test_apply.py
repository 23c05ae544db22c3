"""Applying: idempotent, told apart from a change upstream, careful with data, safe to kill and to race."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from inseam.ir.records import AliasRecord, DefinitionRecord, MaterializationRecord
from inseam.kernel.clock import DAY, frozen_at, now
from inseam.kernel.errors import ConflictError, RefusedError
from inseam.plan.diff import Change
from inseam.run.workspace import open as open_workspace

APPLY = "import sys, inseam; inseam.open(sys.argv[1]).apply()"


def redefine(project: Path, before: str, after: str) -> None:
    path = project / "shop" / "definitions.py"
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


@pytest.fixture
def applied(project: Path) -> Path:
    with open_workspace(project) as workspace:
        workspace.ingest(is_history=True)
        workspace.apply()
    return project


def test_applying_again_does_nothing(applied: Path) -> None:
    with open_workspace(applied) as workspace:
        assert workspace.plan().is_empty
        assert workspace.apply().done == ()


def test_a_window_changes_the_view_and_alters_what_is_made_from_it(applied: Path) -> None:
    redefine(applied, 'over="30d"),\n    "spend_30d"', 'over="60d"),\n    "spend_30d"')
    with open_workspace(applied) as workspace:
        changes = {c.ref: c for c in workspace.plan().changes}

        assert changes["feature_view:spend"].change is Change.CHANGED
        assert changes["feature_view:spend"].fields == ("features.orders_30d.over",)
        assert changes["source:orders"].change is Change.UNCHANGED
        for ref in ("training_set:will_lapse", "model:lapse", "endpoint:lapse"):
            assert changes[ref].change is Change.ALTERED
            assert changes[ref].because == ("feature_view:spend",)
        assert [w.verb for w in workspace.apply().done] == ["materialize"]
        assert workspace.plan().is_empty


def test_online_rows_go_a_week_after_nobody_reads_them_any_more(served_project: Path, tmp_path: Path) -> None:
    project = tmp_path / "copy"
    shutil.copytree(served_project, project)
    redefine(project, 'over="30d"),\n    "spend_30d"', 'over="60d"),\n    "spend_30d"')
    with open_workspace(project) as workspace:
        (old,) = workspace.context.online.tables()
        workspace.apply()
        (champion,) = workspace.context.ledger.select(AliasRecord)
        assert workspace.plan().is_empty
        with frozen_at(now() + 8 * DAY):
            assert workspace.plan().is_empty, "the champion was trained on them"
            workspace.context.ledger.delete(champion)
            assert [(work.verb, work.subject) for work in workspace.plan().work] == [("prune", old)]
            assert [work.verb for work in workspace.apply().done] == ["prune"]
            assert workspace.plan().is_empty
        (kept,) = workspace.context.online.tables()
        assert kept.startswith("spend@") and kept != old
        workspace.fetch(["spend"], [{"customer_id": 1}])


def test_what_means_the_same_changes_nothing(applied: Path) -> None:
    redefine(applied, "spend = FeatureView", "# a comment\nspending = FeatureView")
    redefine(applied, "features=[spend]", "features=[spending]")
    redefine(applied, '"data/orders"', '"data/../data/orders"')
    with open_workspace(applied) as workspace:
        assert workspace.plan().is_empty


def test_data_is_destroyed_only_when_that_is_said(applied: Path) -> None:
    (applied / "shop" / "definitions.py").write_text(
        'from inseam import Entity\nEntity("customer", key="customer_id")\n'
    )
    with open_workspace(applied) as workspace:
        with pytest.raises(RefusedError, match="orders"):
            workspace.apply()
        assert workspace.context.tables.snapshot("sources/orders").rows > 0

        workspace.apply(can_destroy=True)
        assert "sources/orders" not in workspace.context.tables.list()
        assert workspace.plan().is_empty


def test_what_was_made_from_destroyed_data_goes_with_it(applied: Path) -> None:
    """The new table counts its snapshots from 0 again: nothing of the old one may be taken for its."""
    definitions = applied / "shop" / "definitions.py"
    declared = definitions.read_text()
    with open_workspace(applied) as workspace:
        before = workspace.build("will_lapse")
    definitions.write_text('from inseam import Entity\nEntity("customer", key="customer_id")\n')
    with open_workspace(applied) as workspace:
        workspace.apply(can_destroy=True)
        assert not workspace.context.online.tables()
        assert not Path(before.path).exists()

    definitions.write_text(declared)
    for path in (applied / "data" / "orders").iterdir():
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(lines[: 1 + len(lines) // 2]))
    with open_workspace(applied) as workspace:
        workspace.ingest(is_history=True)
        assert [(work.verb, work.subject) for work in workspace.plan().work] == [("materialize", "spend")]
        assert workspace.build("will_lapse").digest != before.digest


def test_a_plan_that_was_looked_at_is_the_one_that_is_applied(applied: Path) -> None:
    with open_workspace(applied) as workspace:
        seen = workspace.plan().fingerprint
    redefine(applied, 'over="90d"),\n    "mean_90d"', 'over="60d"),\n    "mean_90d"')
    with open_workspace(applied) as workspace, pytest.raises(ConflictError, match="changed since"):
        workspace.apply(expected=seen)


def test_two_at_once_leave_one_state(project: Path) -> None:
    with open_workspace(project) as workspace:
        workspace.ingest(is_history=True)
    both = [
        subprocess.Popen([sys.executable, "-c", APPLY, str(project)], stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [process.communicate(timeout=120)[1] for process in both]

    assert any(process.returncode == 0 for process in both), told
    for process, text in zip(both, told, strict=True):
        assert process.returncode == 0 or "ConflictError" in text, text
    with open_workspace(project) as workspace:
        assert workspace.plan().is_empty


@pytest.mark.slow
def test_killed_at_any_instant_it_goes_on(project: Path) -> None:
    with open_workspace(project) as workspace:
        workspace.ingest(is_history=True)
    chance = random.Random(5)
    for _ in range(8):
        process = subprocess.Popen([sys.executable, "-c", APPLY, str(project)], stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.3, 2.5))
        process.send_signal(signal.SIGKILL)
        process.wait()

    with open_workspace(project) as workspace:
        workspace.apply()
        assert workspace.plan().is_empty
        ledger = workspace.context.ledger
        assert len(ledger.select(DefinitionRecord)) == len(workspace.project.declarations)
        committed = [m for m in ledger.select(MaterializationRecord) if m.status == "committed"]
        assert len(committed) == 1
        rows = workspace.context.online.count(f"spend@{committed[0].fingerprint}")
        assert rows == committed[0].rows
