"""A better challenger, through the command line: promoted, refused, promoted, rolled back, with exit codes and JSON."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

DEFINITIONS = """
from inseam import Entity, FeatureView, Label, Source, Split, TrainingSet
from inseam import beats_champion, count, model, snapshots

customer = Entity("customer", key="customer_id")
orders = Source("orders", "orders.csv", timestamp="ordered_at")
habits = FeatureView("habits", orders, customer, every="1d", features={
    "orders_30d": count(over="30d"), "orders_90d": count(over="90d"),
})
will_lapse = TrainingSet("will_lapse", spine=snapshots(customer, every="14d", active="90d"), features=[habits],
                         label=Label(count(orders) == 0, ahead="30d"), split=Split(test="90d"))

@model("lapse", will_lapse, metric="roc_auc", gates=[beats_champion()], params={"depth": 2})
def train(data, params):
    from sklearn.tree import DecisionTreeClassifier
    depth, seed = params["depth"], params["seed"]
    X = data.X if depth > 0 else data.X * 0
    return DecisionTreeClassifier(max_depth=max(depth, 1), random_state=seed).fit(X, data.y)

@model("free", will_lapse, metric="roc_auc")
def train_free(data, params):
    from sklearn.tree import DecisionTreeClassifier
    return DecisionTreeClassifier(max_depth=1, random_state=params["seed"]).fit(data.X, data.y)
"""


def inseam(root: Path, *words: str) -> tuple[int, Any]:
    """The exit code, and the JSON on stdout or both streams as text."""
    done = subprocess.run(["inseam", *words], cwd=root, capture_output=True, text=True, timeout=240, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout) if "--json" in words else done.stdout + done.stderr


@pytest.fixture(autouse=True)
def path(commands: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "inseam.toml").write_text('[project]\nname = "shop"\n')
    (tmp_path / "shop.py").write_text(DEFINITIONS)
    random = np.random.default_rng(1)
    rate = random.gamma(1.0, 1 / 15, 250)
    start = np.datetime64("2024-01-01T00:00:00")
    rows = [
        f"{customer},{start + np.timedelta64(int(day) * 86_400 + 60, 's')}Z"
        for customer in range(250)
        for day in np.flatnonzero(random.random(330) < rate[customer])
    ]
    (tmp_path / "orders.csv").write_text("\n".join(["customer_id,ordered_at", *rows]) + "\n")
    return tmp_path


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_weaker_one_is_refused_and_a_better_one_promoted(root: Path) -> None:
    assert inseam(root, "ingest", "--history")[0] == 0
    code, first = inseam(root, "train", "lapse", "--param", "depth=1", "--json")
    assert (code, first["champion"]["version"]) == (0, 1)

    code, weaker = inseam(root, "train", "lapse", "--param", "depth=0", "--json")
    gate = weaker["verdict"]["gates"]["beats_champion"]
    assert (code, weaker["champion"], gate["passed"]) == (6, None, False)
    assert gate["evidence"]["champion"] == 1
    assert gate["evidence"]["challenger_value"] < gate["evidence"]["champion_value"]
    code, told = inseam(root, "promote", "lapse", "2", "--json")
    assert (code, told["problems"][0]["code"]) == (6, "refused")
    assert "of version 1" in told["problems"][0]["found"]

    code, better = inseam(root, "train", "lapse", "--param", "depth=4", "--json")
    assert (code, better["champion"]["version"], better["untracked"]) == (0, 3, [])
    assert better["verdict"]["gates"]["beats_champion"]["evidence"]["gain_low"] > 0

    code, back = inseam(root, "rollback", "lapse", "--json")
    assert (code, back["version"]) == (0, 1)
    code, told = inseam(root, "rollback", "lapse", "--json")
    assert (code, told["problems"][0]["found"]) == (6, "there is no earlier champion")

    code, text = inseam(root, "train", "free")
    assert code == 0
    assert "no gates" in text
    assert "Gates\n" not in text
