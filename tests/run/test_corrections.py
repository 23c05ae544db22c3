"""A source whose rows replace each other, from its declaration to what is read online."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inseam.kernel.clock import HOUR, frozen_at, now
from inseam.run.workspace import Workspace
from inseam.run.workspace import open as open_workspace

SHOP = """
from inseam import Entity, FeatureView, Source, Transform, count, sum
customer = Entity("customer", key="customer")
orders = Source("orders", "data/*.csv", timestamp="at", key="id", on_duplicate="replace", deleted="gone")
paid = Transform("paid", orders, sql="SELECT customer, at, amount FROM orders WHERE amount > 0")
spend = FeatureView("spend", paid, customer, every="1h", features={"n": count(), "total": sum("amount")})
"""
HEAD = "id,customer,at,amount,gone\n"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "inseam.toml").write_text('[project]\nname = "shop"\n')
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "data").mkdir()
    rows = "1,7,2024-01-01,10,false\n2,7,2024-01-02,20,false\n3,8,2024-01-03,30,false\n"
    (tmp_path / "data" / "1.csv").write_text(HEAD + rows)
    return tmp_path


def test_what_is_online_follows_corrections_and_deletions(shop: Path) -> None:
    with open_workspace(shop) as workspace:
        workspace.ingest(is_history=True)
        assert _online(workspace) == [(2, 30), (1, 30)]
        rows = "2,8,2024-01-02,25,false\n3,8,2024-01-03,30,true\n1,7,2024-01-01,10,true\n"
        (shop / "data" / "2.csv").write_text(HEAD + rows)
        before = now()
        workspace.ingest()
        workspace.materialize("spend", as_of=before)
        assert _read(workspace) == [(2, 30), (1, 30)], "at the boundary before, nothing of it was known"
        assert _online(workspace) == [(0, None), (1, 25)]


def _online(workspace: Workspace) -> list[tuple[Any, Any]]:
    """The values two hours from now, when all that is loaded lies behind the boundary."""
    with frozen_at(now() + 2 * HOUR):
        workspace.materialize("spend")
    return _read(workspace)


def _read(workspace: Workspace) -> list[tuple[Any, Any]]:
    found = workspace.fetch(["spend"], [{"customer": 7}, {"customer": 8}], at=now() + 2 * HOUR)
    values = found.values
    return list(zip(values["n"], values["total"], strict=True))
