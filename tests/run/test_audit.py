"""The audit of online rows: of what was materialized, and of what is kept in tiles."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from inseam.ir.records import RunRecord
from inseam.kernel.clock import DAY, HOUR, SECOND, frozen_at, parse_instant
from inseam.kernel.errors import NotFoundError
from inseam.run.audit import agreements
from inseam.run.workspace import Workspace
from inseam.run.workspace import open as open_workspace
from inseam.stages.observe.audited import Audited
from inseam.surface.cli.main import app as command_line

NOON = parse_instant("2024-06-01T12:00:00Z")
DEFINITIONS = """
from inseam import Entity, FeatureView, Source, count, last, quantile, sum
columns = {"at": "timestamp", "customer_id": "int64", "amount": "float64"}
customer = Entity("customer", key="customer_id")
orders = Source("orders", "orders", timestamp="at", schema=columns)
pushed = Source("pushed", timestamp="at", schema=columns, stream=True)
daily = FeatureView("daily", orders, customer, every="1d", features={"spend": sum("amount", over="30d"), "n": count()})
fresh = FeatureView("fresh", pushed, customer, every="1s", features={
    "recent": sum("amount", over="1h"), "middle": quantile("amount", 0.4), "newest": last("amount"),
})
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    (tmp_path / "shop.py").write_text(DEFINITIONS)
    (tmp_path / "inseam.toml").write_text('[project]\nname = "shop"\n')
    (tmp_path / "orders").mkdir()
    with open_workspace(tmp_path) as workspace:
        yield workspace


def load(workspace: Workspace, name: str, *rows: str, is_history: bool = True) -> None:
    text = "\n".join(("at,customer_id,amount", *rows))
    (workspace.settings.root / "orders" / f"{name}.csv").write_text(text + "\n")
    workspace.ingest("orders", is_history=is_history)


def online(workspace: Workspace, view: str, sample: int = 1_000) -> Audited:
    (found,) = workspace.audit(view, sample=sample, is_online=True)
    return found


def test_materialized_rows_agree_until_the_past_is_changed(workspace: Workspace) -> None:
    rows = [f"2024-05-{day:02d}T10:00:00Z,{day % 7},{day}.1" for day in range(1, 29)]
    load(workspace, "first", *rows, f"2024-05-30T10:00:00Z,,{1}")
    with pytest.raises(NotFoundError, match=r"--online"):
        workspace.audit()
    with frozen_at(NOON):
        workspace.materialize("daily")
        found = online(workspace, "daily")
        assert (found.rows, found.equal, found.population, found.stale) == (7, 7, 7, 0)
        assert found.behind_seconds == 12 * HOUR / SECOND
        assert online(workspace, "daily", sample=3).rows == 3
    with frozen_at(NOON + DAY):
        load(workspace, "late", "2024-05-20T10:00:00Z,3,9", "2024-05-20T10:00:00Z,77,9", is_history=False)
        found = online(workspace, "daily")
        assert (found.rows, found.equal, found.missing, found.stale) == (8, 8, 1, 7), "known too late to count"
        load(workspace, "history", "2024-05-20T10:00:00Z,5,9")
        found = online(workspace, "daily")
        assert dict(found.causes) == {"late rows": 1}
        assert [difference.entity for difference in found.differences] == [{"customer_id": 5}]
        assert agreements(workspace.context) == {("feature_view:daily", ""): 7 / 8}
        (record,) = workspace.status().audits
        assert (record.rows, record.equal, record.facts["causes"]) == (8, 7, {"late rows": 1})
        last = workspace.context.ledger.select(RunRecord, step="audit")[-1]
        assert last.outputs["feature_view:daily"]["equal"] == 7


def test_tiles_agree_and_a_damaged_one_is_found(workspace: Workspace) -> None:
    for second in range(4):
        with frozen_at(NOON + second * SECOND):
            rows = [
                {"at": f"2024-06-01T11:{late:02d}:00Z", "customer_id": late % 5, "amount": late * 0.37 + second}
                for late in range(3, 59, 7)
            ]
            workspace.push("pushed", rows, key=str(second))
            workspace.freshen("fresh", is_once=True)
    with frozen_at(NOON + HOUR):
        found = online(workspace, "fresh")
        assert (found.rows, found.equal, found.stale, found.missing) == (5, 5, 5, 0)
        store = workspace.context.online
        (table,) = store.tables()
        key = b"h" + (3).to_bytes(8, "big", signed=True)
        good = bytearray(store.read([table], [[key]])[0][0] or b"")
        store.write(table, [(key, None)])
        lost = online(workspace, "fresh")
        assert (dict(lost.causes), lost.missing) == ({"code": 1}, 1)
        assert lost.differences[0].entity == {"customer_id": 3}
        store.write(table, [(key, bytes(good))])
        assert online(workspace, "fresh").agreement == 1.0


def test_the_command_line_tells_what_differs_and_exits_with_11(workspace: Workspace) -> None:
    root = workspace.settings.root

    def audit(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(command_line, ["audit", *words, "--project", str(root)])
        return done.exit_code, done.output

    code, told = audit("--online", "daily")
    assert code == NotFoundError.exit_code and "no view has online rows" in told
    assert "did you mean 'daily'" in audit("dayly")[1]
    load(workspace, "first", "2024-05-20T10:00:00Z,1,0.1", "2024-05-20T10:00:00Z,2,0.2")
    workspace.materialize("daily")
    assert audit("--online", "feature_view:daily")[0] == 0
    load(workspace, "history", "2024-05-20T11:00:00Z,2,0.1")
    code, told = audit("--online", "daily", "--json")
    assert code == 11
    (found,) = json.loads(told)
    assert (found["agreement"], found["causes"]) == (0.5, {"late rows": 1})
    code, told = audit("--online", "daily", "--at-least", "0.5")
    assert code == 0
    assert "customer_id=2" in told
    done = CliRunner().invoke(command_line, ["status", "--project", str(root)])
    assert "feature_view:daily  online rows" in done.output
    assert audit("--since", "soon")[0] == 2
