"""Deprecation: each user of a deprecated thing is told by name, and nothing means anything else for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from inseam.define.project import load
from inseam.plan.deprecation import warnings
from inseam.plan.meaning import lineage
from inseam.surface.cli.main import app

DEFINITIONS = """
from inseam import *

customer = Entity("customer", key="customer_id")
orders = Source("orders", "orders.csv", timestamp="at", schema={{"customer_id": "int64", "at": "timestamp"}}{source})
spend = FeatureView("spend", orders, customer, every="1d", features={{
    "n_30d": count(over="30d"){feature}, "n_90d": count(over="90d"),
}})

@on_demand(spend)
def pace(n_30d: float) -> float:
    return n_30d / 30

old = TrainingSet("old", spine=snapshots(customer, every="7d"), features=[spend["n_30d"]],
                  label=Label(count(orders) == 0, ahead="60d"))
new = TrainingSet("new", spine=snapshots(customer, every="7d"), features=[spend["n_90d"]],
                  label=Label(count(orders) == 0, ahead="60d"))

@model("lapse", new, metric="roc_auc")
def lapse(data, params):
    return None

@model("late", old, metric="roc_auc"{model})
def late(data, params):
    return None

Endpoint("late", late)
"""
FEATURE = '.about("orders", owner="growth", tags=["core"], deprecated="use n_90d")'


def write(root: Path, *, source: str = "", feature: str = "", model: str = "") -> Path:
    (root / "inseam.toml").write_text('[project]\nname = "deprecations"\n')
    (root / "deprecations.py").write_text(DEFINITIONS.format(source=source, feature=feature, model=model))
    return root


def told(root: Path, *names: str) -> list[tuple[str, str, str]]:
    project = load("deprecations", "deprecations", root)
    chosen = [item for item in project.declarations if str(item.ref) in names]
    return [(w.subject, w.found, w.mend) for w in warnings(project, *chosen)]


def test_users_of_a_feature_are_told_and_nobody_else(tmp_path: Path) -> None:
    found = "it uses spend['n_30d'], which is deprecated"
    root = write(tmp_path, feature=FEATURE)
    assert told(root) == [("on_demand:pace", found, "use n_90d"), ("training_set:old", found, "use n_90d")]
    assert told(root, "model:lapse") == []
    assert told(root, "endpoint:late") == [("training_set:old", found, "use n_90d")]


def test_users_of_a_declaration_are_told(tmp_path: Path) -> None:
    root = write(tmp_path, source=', deprecated="use purchases"', model=', deprecated="use lapse"')
    assert {subject for subject, _, _ in told(root)} == {
        "feature_view:spend",
        "training_set:old",
        "training_set:new",
        "endpoint:late",
    }


def test_words_for_people_change_no_fingerprint(tmp_path: Path) -> None:
    before = load("deprecations", "deprecations", write(tmp_path)).declarations
    after = load(
        "deprecations",
        "deprecations",
        write(tmp_path, feature=FEATURE, source=', deprecated="x", tags=["a"]', model=', deprecated="y"'),
    ).declarations
    assert [lineage(item) for item in before] == [lineage(item) for item in after]


@pytest.mark.parametrize("verb", ["check", "plan"])
def test_a_warning_is_no_failure_unless_strict(tmp_path: Path, verb: str) -> None:
    (tmp_path / "orders.csv").write_text("customer_id,at\n1,2024-01-01\n")
    root = write(tmp_path, feature=FEATURE)
    calm = CliRunner().invoke(app, [verb, "-p", str(root), "--json"])
    assert calm.exit_code == 0
    assert {warning["subject"] for warning in json.loads(calm.stdout)["warnings"]} == {
        "on_demand:pace",
        "training_set:old",
    }
    assert "use n_90d" in calm.stderr
    strict = CliRunner().invoke(app, [verb, "-p", str(root), "--strict"])
    assert strict.exit_code == 2
    assert "training_set:old" in strict.stderr


def test_training_and_serving_tell_of_their_own_alone(tmp_path: Path) -> None:
    root = write(tmp_path, feature=FEATURE)
    for verb, said in ((["train", "late"], True), (["train", "lapse"], False), (["serve"], True)):
        done = CliRunner().invoke(app, [*verb, "-p", str(root), "--strict"])
        assert ("use n_90d" in done.stderr) is said
