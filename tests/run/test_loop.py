"""The loop in one process: what is loaded is built, learnt, promoted, read, scored and replayed."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as parquet

from inseam.kernel.clock import parse_instant
from inseam.plan.diff import Change
from inseam.run.workspace import Workspace
from inseam.run.workspace import open as open_workspace

YEAR_END = parse_instant("2025-01-01")


def test_a_first_plan_creates_everything_and_asks_for_loads(workspace: Workspace) -> None:
    plan = workspace.plan()

    assert {c.change for c in plan.changes} == {Change.CREATED}
    assert [(w.verb, w.subject) for w in plan.work] == [("ingest", "orders")]
    reaches = next(c for c in plan.changes if c.ref == "source:orders").reaches
    assert reaches == ("feature_view:spend", "training_set:will_lapse", "model:lapse", "endpoint:lapse")


def test_loads_keep_every_row_and_add_a_file_once(workspace: Workspace) -> None:
    load = workspace.ingest(is_history=True)["orders"]

    assert load is not None
    assert load.rows_in == load.rows_accepted + load.rows_quarantined
    assert load.rows_quarantined == 1
    assert workspace.ingest()["orders"] is None


def test_the_loop(served_project: Path, tmp_path: Path) -> None:
    with open_workspace(served_project) as workspace:
        status = workspace.status()
        assert status.models[0].champion == 1
        assert status.views[0].rows > 250
        assert workspace.plan().is_empty

        rows = workspace.fetch(["spend"], [{"customer_id": 7}])
        assert not rows.is_missing["spend"][0]

        scored = workspace.score("lapse", out=tmp_path / "scores.parquet", as_of=YEAR_END)
        table = parquet.read_table(tmp_path / "scores.parquet")
        assert 50 < table.num_rows == scored.rows < status.views[0].rows, "only those active within 90 days"
        assert set(table["event_time"].cast("int64").to_pylist()) == {YEAR_END}


def test_building_twice_finds_the_first(served_project: Path) -> None:
    with open_workspace(served_project) as workspace:
        first = workspace.build("will_lapse")
        second = workspace.build("will_lapse")

    assert first == second
    assert first.counts["train"] > 0
    assert first.counts["test"] > 0
    assert first.counts["purged"] > 0
    assert first.counts["unripe"] > 0


def test_lineage_of_a_view_reaches_from_source_to_endpoint(served_project: Path) -> None:
    with open_workspace(served_project) as workspace:
        found = workspace.lineage("spend")
        version = workspace.lineage("lapse@1")

    assert {node.ref for node in found.upstream} == {"source:orders", "entity:customer"}
    assert {node.ref for node in found.downstream} == {"training_set:will_lapse", "model:lapse", "endpoint:lapse"}
    assert any(node.ref.startswith("table:sources/orders@") for node in version.upstream)


def test_the_same_scoring_is_appended_once(served_project: Path) -> None:
    with open_workspace(served_project) as workspace:
        first = workspace.score("lapse", as_of=YEAR_END)
        again = workspace.score("lapse", as_of=YEAR_END)

        assert (first.is_repeated, again.is_repeated) == (False, True)
        assert workspace.context.tables.snapshot("scores/lapse").rows == first.rows > 0
