"""Small files of tables are merged beside loads, pushes and fresh views, which don't notice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from inseam.define.aggregate import last, sum
from inseam.define.entity import Entity
from inseam.define.feature_view import FeatureView
from inseam.define.project import Project
from inseam.define.source import Source
from inseam.kernel.clock import SECOND, frozen_at, parse_instant
from inseam.kernel.errors import ConflictError, NotFoundError
from inseam.ports.compacting import Compacted
from inseam.run import compacting
from inseam.run.freshening import Freshness
from inseam.run.settings import Settings
from inseam.run.workspace import Workspace
from inseam.surface.cli.main import app as command_line

NOON = parse_instant("2024-06-01T12:00:00Z")
TABLE = "sources/orders"
DEFINITIONS = """
from inseam import Source
orders = Source("orders", timestamp="at", schema={"at": "timestamp", "n": "int64"}, stream=True)
"""
orders = Source(
    "orders", timestamp="at", schema={"at": "timestamp", "customer_id": "int64", "amount": "float64"}, stream=True
)
spend = FeatureView(
    "spend",
    orders,
    Entity("customer", key="customer_id"),
    every="1s",
    features={"spend": sum("amount", over="1h"), "last": last("amount")},
)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace(Settings(tmp_path, "shop", "shop", compact_files=3), Project.of("shop", [spend])) as workspace:
        yield workspace


def push(workspace: Workspace, *numbers: int) -> None:
    """Rows that tie but for their order in the log."""
    rows = [{"at": "2024-06-01T11:30:00Z", "customer_id": 1, "amount": float(n), "_id": str(n)} for n in numbers]
    workspace.push("orders", rows)


def values(workspace: Workspace, at: int) -> list[float | None]:
    found = workspace.fetch(["spend"], [{"customer_id": 1}], at=at)
    return [found.values[name][0] for name in ("spend", "last")]


def test_merged_files_are_no_new_rows_to_a_fresh_view(workspace: Workspace) -> None:
    steps: list[Freshness] = []
    files = []
    for second in range(7):
        with frozen_at(NOON + second * SECOND):
            push(workspace, 1 << second)
            workspace.freshen("spend", is_once=True, told=steps.append)
            assert values(workspace, NOON + second * SECOND) == [float((2 << second) - 1), float(1 << second)]
            files.append(len(workspace.context.tables.snapshot(TABLE).files))
    assert files == [1, 2, 1, 2, 1, 2, 1]
    assert [(step.rows, step.entities) for step in steps] == [(1, 1)] * 7
    (audited,) = workspace.audit("spend", is_online=True)
    assert (audited.equal, audited.agreement) == (1, 1.0)


def test_a_view_that_is_built_from_merged_files_has_the_same_values(workspace: Workspace) -> None:
    with frozen_at(NOON):
        for number in range(5):
            push(workspace, number)
            workspace.ingest("orders")
        assert len(workspace.context.tables.snapshot(TABLE).files) == 1
    with frozen_at(NOON + SECOND):
        workspace.freshen("spend", is_once=True)
        assert values(workspace, NOON + SECOND) == [10.0, 4.0]


def test_a_table_that_is_named_is_merged_whole_and_waits_for_its_loads(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(replace(workspace.settings, compact_files=0), workspace.project)
    for number in range(4):
        push(workspace, number)
        workspace.ingest("orders")
    assert workspace.compact().as_dict() == {"moved": {}, "merged": {}}
    monkeypatch.setattr(compacting, "_WAIT_SECONDS", 0.0)
    with workspace.context.ledger.lease("ingest:orders"):
        with pytest.raises(ConflictError):
            workspace.compact(TABLE)
        assert compacting.tidy(workspace.context, [TABLE]) == {}
    assert workspace.compact(TABLE).merged == {TABLE: Compacted(4, 4, 1)}
    with pytest.raises(NotFoundError, match=TABLE):
        workspace.compact("sources/order")


def test_the_command_says_what_it_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shop.py").write_text(DEFINITIONS)
    (tmp_path / "inseam.toml").write_text('[project]\nname = "shop"\n[environments.default]\ncompact_files = 4\n')
    monkeypatch.chdir(tmp_path)

    def called(*words: str) -> str:
        result = CliRunner().invoke(command_line, words)
        assert result.exit_code == 0, result.output
        return result.stdout

    for number in range(3):
        Path("rows.jsonl").write_text(json.dumps({"at": "2024-06-01T12:00:00Z", "n": number}))
        called("push", "orders", "rows.jsonl")
        called("ingest", "orders")
    assert called("compact").strip() == "nothing to compact"
    merged = json.loads(called("compact", TABLE, "--json"))
    assert merged == {"moved": {}, "merged": {TABLE: {"version": 3, "before": 3, "after": 1}}}
