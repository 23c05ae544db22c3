"""Declarations of an installed package, used by several projects: the same thing in each, and only where it is used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from inseam.define.feature_view import FeatureView
from inseam.define.project import Project, load
from inseam.plan.check import check
from inseam.plan.meaning import lineage
from inseam.plan.schemas import find_schemas

SHARED = """
from inseam import *

customer = Entity("customer", key="customer_id")
orders = Source("orders", "data/orders", timestamp="at", schema={"customer_id": "int64", "at": "timestamp"})
returns = Source("returns", "data/returns", timestamp="at", schema={"customer_id": "int64", "at": "timestamp"})
spend = FeatureView("spend", orders, customer, every="1d", features={"n_30d": count(over="30d")}, owner="core")
sent_back = FeatureView("sent_back", returns, customer, every="1d", features={"n_90d": count(over="90d")})
Example(spend, entity=1, at="2024-05-01", expect={"n_30d": 0})


def view_of(source, name):
    return FeatureView(name, source, customer, every="1d", features={f"{name}_n": count(over="7d")})


@on_demand(spend)
def pace(n_30d: float) -> float:
    return n_30d / 30
"""
USER = """
from inseam import Label, Source, TrainingSet, count, snapshots
from shop_features.core import customer, orders, pace, spend, view_of

visits = Source("visits", "data/visits", timestamp="at", schema={"customer_id": "int64", "at": "timestamp"})
visited = view_of(visits, "visited")
TrainingSet("lapse", spine=snapshots(customer, every="7d"), features=[spend, pace],
            label=Label(count(orders) == 0, ahead="60d"))
"""
PACKAGING = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "shop-features"
version = "1.0"
"""


def write_package(folder: Path) -> Path:
    (folder / "shop_features").mkdir(parents=True)
    (folder / "shop_features" / "__init__.py").write_text("")
    (folder / "shop_features" / "core.py").write_text(SHARED)
    (folder / "pyproject.toml").write_text(PACKAGING)
    return folder


def write_project(folder: Path, module: str, text: str = USER) -> Path:
    folder.mkdir()
    (folder / f"{module}.py").write_text(text)
    (folder / "inseam.toml").write_text(f'[project]\nname = "{module}"\n')
    return folder


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [str(write_package(tmp_path / "site")), *sys.path])
    yield tmp_path
    for name in [n for n in sys.modules if n.partition(".")[0] in ("shop_features", "alpha", "beta")]:
        monkeypatch.delitem(sys.modules, name)


def refs(project: Project) -> set[str]:
    return {str(item.ref) for item in project.declarations}


def test_what_is_used_is_declared_and_what_is_not_is_not(shared: Path) -> None:
    write_project(shared / "a", "alpha")
    first, again = (load("alpha", "alpha", shared / "a") for _ in range(2))
    assert refs(first) == {
        "entity:customer",
        "source:orders",
        "source:visits",
        "feature_view:spend",
        "feature_view:visited",
        "on_demand:pace",
        "training_set:lapse",
    }
    assert refs(again) == refs(first)
    assert (first.mistakes, first.examples) == ((), ())


def test_two_projects_mean_the_same_by_it(shared: Path) -> None:
    write_project(shared / "a", "alpha")
    write_project(shared / "b", "beta", "from shop_features.core import spend\n" + USER)
    one, other = load("alpha", "alpha", shared / "a"), load("beta", "beta", shared / "b")
    assert {str(i.ref): lineage(i) for i in one.declarations} == {str(i.ref): lineage(i) for i in other.declarations}
    assert one.get(FeatureView, "spend") is other.get(FeatureView, "spend")


def test_a_clash_of_names_is_told_with_both_places(shared: Path) -> None:
    own = '\ncustomer = __import__("inseam").Entity("customer", key="id")\n'
    write_project(shared / "a", "alpha", USER + own)
    project = load("alpha", "alpha", shared / "a")
    (problem,) = check(project, find_schemas(project, {}, None))
    assert problem.code == "name-duplicate"
    places = f"{problem.place} {problem.found}"
    assert "alpha.py:10" in places
    assert "core.py:4" in places


@pytest.mark.slow
def test_an_installed_package_is_shared_by_two_projects(tmp_path: Path) -> None:
    source, site = write_package(tmp_path / "source"), tmp_path / "site"
    install = ["-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target", str(site), str(source)]
    subprocess.run([sys.executable, *install], check=True)
    found = []
    for folder, module in (("a", "alpha"), ("b", "beta")):
        write_project(tmp_path / folder, module)
        done = subprocess.run(
            [sys.executable, "-m", "inseam", "lineage", "training_set:lapse", "--json"],
            cwd=tmp_path / folder,
            env={**os.environ, "PYTHONPATH": str(site)},
            capture_output=True,
            text=True,
            check=True,
        )
        told = json.loads(done.stdout)
        nodes = [told["subject"], *told["upstream"]]
        assert any("site" in node["facts"]["place"] for node in nodes)
        found.append({node["ref"]: node["facts"]["fingerprint"] for node in nodes})
    assert found[0] == found[1]
    assert "feature_view:spend" in found[0]
