"""A changed view: built beside the old one whatever is killed, compared with it, and switched to at once."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from inseam.ir.functions import FunctionRef
from inseam.ir.records import DefinitionRecord, MaterializationRecord, ViewVersionRecord
from inseam.ir.relation import FunctionTransform, Joined, Relation
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.clock import DAY, SECOND, Step, frozen_at, parse_instant
from inseam.kernel.errors import ConflictError, NotFoundError, RefusedError
from inseam.kernel.types import Schema
from inseam.run.view_versions import ViewVersion
from inseam.run.workspace import Workspace
from inseam.run.workspace import open as open_workspace
from inseam.surface.cli.main import app as command_line

NOON = parse_instant("2024-06-01T12:00:00Z")
DEFINITIONS = """
from inseam import Entity, FeatureView, Source, Transform, count, last, sum
columns = {"at": "timestamp", "customer_id": "int64", "amount": "float64", "store": "string"}
customer = Entity("customer", key="customer_id")
orders = Source("orders", "orders", timestamp="at", schema=columns)
pushed = Source("pushed", timestamp="at", schema=columns, stream=True)
daily = FeatureView("daily", orders, customer, every="1d", features={
    "spend": sum("amount", over="10d"), "n": count(), "store": last("store"),
})
fresh = FeatureView("fresh", pushed, customer, every="1s", features={"recent": sum("amount", over="1h")})
"""
KILLED = """
import os, signal, sys
import inseam
from inseam.stages.features import materialize
materialize.materialize.__kwdefaults__["batch_rows"] = 5

def told(what, done, total=None):
    if done >= 10:
        os.kill(os.getpid(), signal.SIGKILL)

inseam.open(sys.argv[1]).apply(as_of=int(sys.argv[2]), progress=told)
"""


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty customers, of whom each bought in late April and in late May; and one who clicked at half past eleven."""
    root = tmp_path_factory.mktemp("applied")
    (root / "shop.py").write_text(DEFINITIONS)
    (root / "inseam.toml").write_text('[project]\nname = "shop"\n')
    (root / "orders").mkdir()
    rows = [f"2024-0{month}-{28 - n % 5}T10:00:00Z,{n},{n}.5,s{n % 3}" for month in (4, 5) for n in range(20)]
    (root / "orders" / "first.csv").write_text("\n".join(["at,customer_id,amount,store", *rows]) + "\n")
    with open_workspace(root) as workspace, frozen_at(NOON):
        workspace.ingest("orders", is_history=True)
        workspace.push("pushed", [{"at": "2024-06-01T11:30:00Z", "customer_id": 1, "amount": 2.0}], key="k")
        workspace.ingest("pushed")
        workspace.apply()
    return root


@pytest.fixture
def project(applied: Path, tmp_path: Path) -> Path:
    return shutil.copytree(applied, tmp_path / "project")


def redefine(project: Path, before: str, after: str) -> None:
    text = (project / "shop.py").read_text()
    assert before in text
    (project / "shop.py").write_text(text.replace(before, after))


def spend(workspace: Workspace, customer: int = 3) -> float | None:
    value: float | None = workspace.fetch(["daily"], [{"customer_id": customer}], at=NOON).values["spend"][0]
    return value


def recent(workspace: Workspace) -> float | None:
    value: float | None = workspace.fetch(["fresh"], [{"customer_id": 1}], at=NOON + SECOND).values["recent"][0]
    return value


def test_a_view_answers_from_its_old_rows_until_all_new_ones_are_there(project: Path) -> None:
    redefine(project, 'over="10d"', 'over="60d"')
    redefine(project, 'over="1h"', 'over="10m"')
    seen: list[tuple[float | None, float | None]] = []
    with open_workspace(project) as workspace, frozen_at(NOON):
        assert (spend(workspace), recent(workspace)) == (3.5, 2.0)
        workspace.materialize("daily")
        assert spend(workspace) == 3.5, "built beside"
        workspace.apply(progress=lambda *_: seen.append((spend(workspace), recent(workspace))))
        assert set(seen) == {(3.5, 2.0)}
        assert (spend(workspace), recent(workspace)) == (7.0, None)
    redefine(project, 'over="60d"', 'over="10d"')
    with open_workspace(project) as workspace, frozen_at(NOON):
        assert spend(workspace) == 7.0
        assert workspace.plan().work == (), "its rows are still there"
        workspace.apply()
        assert spend(workspace) == 3.5, "back, at once"


def test_killed_while_it_is_built_it_goes_on_and_nobody_notices(project: Path) -> None:
    redefine(project, 'over="10d"', 'over="60d"')
    killed = subprocess.run([sys.executable, "-c", KILLED, str(project), str(NOON)], check=False, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    done: list[int] = []
    with open_workspace(project) as workspace, frozen_at(NOON):
        begun = workspace.context.ledger.select(MaterializationRecord, status="begun")
        assert [record.view for record in begun] == ["daily"]
        assert [spend(workspace, customer) for customer in range(20)] == [n + 0.5 for n in range(20)]
        workspace.apply(progress=lambda what, rows, total=None: done.append(rows) if "daily" in what else None)
        assert done[0] == 10, "what was written is not written again"
        assert [spend(workspace, customer) for customer in range(20)] == [2 * n + 1 for n in range(20)]
        assert workspace.plan().is_empty


def test_one_process_builds_a_version_while_others_read(project: Path) -> None:
    redefine(project, 'over="10d"', 'over="60d"')
    with open_workspace(project) as workspace, frozen_at(NOON):
        script = "import sys, inseam; inseam.open(sys.argv[1]).materialize('daily')"
        with workspace.context.ledger.lease("materialize:daily"):
            other = subprocess.run(
                [sys.executable, "-c", script, str(project)], check=False, capture_output=True, text=True, timeout=120
            )
        assert other.returncode != 0 and ConflictError.__name__ in other.stderr
        assert spend(workspace) == 3.5
    text = DEFINITIONS.replace('"n": count()', '"n": count(over="1d")')
    read = f"fetch(['daily'], [dict(customer_id=3)], at={NOON})"
    reader = f"import sys, inseam; print(inseam.open(sys.argv[1]).{read}.values)"
    (project / "shop.py").write_text(text)
    answered = subprocess.run([sys.executable, "-c", reader, str(project)], capture_output=True, text=True, timeout=120)
    assert "'spend': [3.5]" in answered.stdout, "whatever another process declares, the applied definition answers"


def test_older_versions_that_are_read_are_kept_fresh(project: Path) -> None:
    redefine(project, 'over="10d"', 'over="60d"')
    with open_workspace(project) as workspace:
        ledger = workspace.context.ledger
        with frozen_at(NOON + DAY):
            workspace.materialize("daily")
        boundaries = {(r.fingerprint, r.boundary) for r in ledger.select(MaterializationRecord, view="daily")}
        newest = NOON - NOON % DAY + DAY
        assert sum(boundary == newest for _, boundary in boundaries) == 2, "what answers by name, and what will"
        with frozen_at(NOON + DAY):
            workspace.apply()
        with frozen_at(NOON + 2 * DAY):
            workspace.materialize("daily")
        written = ledger.select(MaterializationRecord, view="daily", boundary=newest + DAY)
        assert len(written) == 1, "nobody reads the old one any more"


def test_a_plan_prices_the_work(project: Path) -> None:
    redefine(project, 'over="10d"', 'over="60d"')
    with open_workspace(project) as workspace:
        with frozen_at(NOON):
            (work,) = workspace.plan().work
        snapshot = workspace.context.tables.snapshot("sources/orders")
        assert (work.rows, work.bytes, work.entities) == (40, snapshot.bytes, 20)
        assert work.seconds is not None and work.seconds >= 0
    found = CliRunner().invoke(command_line, ["plan", "--project", str(project), "--json"])
    assert 20 in [work["entities"] for work in json.loads(found.stdout)["work"]]


def test_versions_are_compared_by_value_and_by_distribution(project: Path) -> None:
    with open_workspace(project) as workspace, frozen_at(NOON), pytest.raises(NotFoundError, match="no other version"):
        workspace.compare("daily")
    redefine(project, 'over="10d"', 'over="60d"')
    redefine(project, '"n": count(), ', '"orders": count(), ')
    redefine(project, 'last("store")', 'last("store", where="amount < 10")')
    with open_workspace(project) as workspace, frozen_at(NOON):
        found = workspace.compare("daily")
        assert (found.population, found.rows, found.only_before, found.only_after) == (20, 20, 0, 0)
        assert (found.removed, found.added, found.is_from_rows, found.is_equal) == (("n",), ("orders",), False, False)
        moved, store = found.features
        # Before: n + 0.5 of May. Now: that of April too.
        assert (moved.feature, moved.equal, moved.nulls_before, moved.nulls_after) == ("spend", 0, 0, 0)
        assert (moved.difference["0"], moved.difference["0.5"], moved.difference["1"]) == (0.5, 10.0, 19.5)
        assert moved.distance == 0.5, "ten of the new values are greater than all of the old ones"
        assert (store.feature, store.equal, store.nulls_before, store.nulls_after) == ("store", 10, 0, 10)
        assert store.distance == pytest.approx(0.05), "of ten and of twenty, shared by three stores"
        first = found.differences[0]
        assert first.after == 2 * first.before == 2 * first.entity["customer_id"] + 1
        assert len({one.entity["customer_id"] for one in found.differences}) == len(found.differences) == 10
        assert workspace.compare("daily", sample=5).rows == 5
        with pytest.raises(NotFoundError, match="begins with zz"):
            workspace.compare("daily", against="zz")
    told = CliRunner().invoke(
        command_line, ["compare", "daily", "--project", str(project), "--as-of", "2024-06-01T12:00:00Z", "--json"]
    )
    assert json.loads(told.stdout)["features"][0]["share"] == 0.0
    told = CliRunner().invoke(
        command_line,
        ["compare", "daily", "-p", str(project), "--as-of", "2024-06-01T12:00:00Z"],
        env={"COLUMNS": "200"},
    )
    assert "20 of 20 entities" in told.stdout and "50.00%" in told.stdout


def test_entities_that_only_one_version_knows_and_keys_that_are_others(project: Path) -> None:
    big = 'Transform("big", orders, sql="SELECT * FROM orders WHERE amount > 5")'
    redefine(project, '"daily", orders', f'"daily", {big}')
    with open_workspace(project) as workspace, frozen_at(NOON):
        found = workspace.compare("daily")
        assert (found.rows, found.only_before, found.only_after, found.features[0].rows) == (20, 5, 0, 15)
        assert found.features[0].share == 1.0 and not found.is_equal
    (project / "shop.py").write_text(
        DEFINITIONS.replace('key="customer_id"', 'key="store"').replace('"store": last', '"shop": last')
    )
    with open_workspace(project) as workspace, frozen_at(NOON), pytest.raises(RefusedError, match="one entity"):
        workspace.compare("daily")


FUNCTION = """
from inseam import transform

@transform("doubled", orders)
def doubled(table):
    return table.mutate(amount=table.amount * 2)

daily = FeatureView("daily", doubled"""


def test_a_version_whose_code_has_changed_is_compared_by_its_rows_and_left_alone(project: Path) -> None:
    text = (project / "shop.py").read_text()
    (project / "shop.py").write_text(text.replace('daily = FeatureView("daily", orders', FUNCTION.strip("\n")))
    with open_workspace(project) as workspace, frozen_at(NOON):
        workspace.apply()
        assert spend(workspace) == 7.0
    redefine(project, "table.amount * 2", "table.amount * 3")
    with open_workspace(project) as workspace:
        with frozen_at(NOON):
            found = workspace.compare("daily")
            assert found.is_from_rows
            assert (found.differences[0].before, found.differences[0].after) != (None, None)
            assert found.features[0].difference["1"] == 19.5
        with frozen_at(NOON + DAY):
            workspace.materialize("daily")
        records = workspace.context.ledger.select(MaterializationRecord, view="daily")
        assert sum(record.boundary == NOON + DAY - NOON % DAY for record in records) == 1


def test_pruning_rows_forgets_the_version_too(project: Path) -> None:
    redefine(project, 'over="10d"', 'over="60d"')
    with open_workspace(project) as workspace:
        with frozen_at(NOON):
            workspace.apply()
        ledger = workspace.context.ledger
        assert len(ledger.select(ViewVersionRecord, view="daily")) == 2
        with frozen_at(NOON + 8 * DAY):
            assert [work.verb for work in workspace.apply().done] == ["prune"]
        (kept,) = ledger.select(ViewVersionRecord, view="daily")
        (applied,) = ledger.select(DefinitionRecord, ref="feature_view:daily")
        assert kept.fingerprint == applied.lineage


def test_the_code_of_what_is_joined_counts_too() -> None:
    gone = FunctionTransform(FunctionRef("shop", "no_such_function", "0"))
    schema = Schema.of([("customer_id", "int64"), ("at", "timestamp")])
    plain = WindowedAggregate("plain", Relation("sources/a", "at", schema), ("customer_id",), Step(DAY), 0, ())
    changed = replace(plain, relation=replace(plain.relation, transform=gone))
    joined = replace(plain.relation, joins=(Joined(changed, (("customer_id", "customer_id"),)),))
    can = [ViewVersion(replace(plain, relation=one), "f", False).can_compute for one in (plain.relation, joined)]
    assert can == [True, False]
