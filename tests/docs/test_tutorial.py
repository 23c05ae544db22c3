"""The tutorial's commands, run in its order in an empty directory."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from page import Reader

from inseam.surface.init.project import create


@pytest.mark.slow
def test_the_tutorial_runs_as_it_is_written(tmp_path: Path) -> None:
    with Reader(tmp_path) as reader:
        reader.follow("tutorial.md")

    assert reader.prediction, "the tutorial asks the server"
    assert (reader.cwd / "scores.parquet").stat().st_size > 0


@pytest.mark.slow
def test_the_tutorial_asks_for_a_customer_that_the_data_has(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text(encoding="utf-8")
    asked = re.findall(r"customer_id\D+(\d+)", page)
    create(tmp_path / "shop", "shop")
    orders = (tmp_path / "shop" / "data" / "orders.csv").read_text(encoding="utf-8")

    assert asked
    assert all(f",{customer}," in orders for customer in asked)
