"""Whatever computes values of an instant first brings in what was on its way by then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inseam import Entity, FeatureView, Project, Source, sum
from inseam.ir.records import LoadRecord
from inseam.kernel import clock
from inseam.kernel.clock import MINUTE, SECOND, frozen_at, parse_instant
from inseam.kernel.errors import RefusedError
from inseam.run.settings import Settings
from inseam.run.settling import settle
from inseam.run.workspace import Workspace
from inseam.run.workspace import open as open_workspace
from inseam.stages.ingest import book

NOON = parse_instant("2024-06-01T12:00:00Z")
COLUMNS = {"at": "timestamp", "customer_id": "int64", "amount": "float64"}
orders = Source("orders", timestamp="at", schema=COLUMNS, stream=True)
spend = FeatureView("spend", orders, Entity("customer", key="customer_id"), every="1m", features={"s": sum("amount")})
COMPUTING: dict[str, Callable[[Workspace, Path], Any]] = {
    "build": lambda workspace, _: workspace.build("will_lapse"),
    "materialize": lambda workspace, _: workspace.materialize("spend", as_of=NOON),
    "score": lambda workspace, place: workspace.score("lapse", as_of=NOON, out=place / "scores.parquet"),
}


def test_settling_says_through_which_instant_the_table_is_whole(tmp_path: Path) -> None:
    row = {"at": "2024-06-01T11:01:00Z", "customer_id": 1, "amount": 1.0}
    with Workspace(Settings(tmp_path, "shop", "shop"), Project.of("shop", [spend])) as workspace:
        with frozen_at(NOON):
            workspace.push("orders", [row], key="k")
            assert settle(workspace.context, orders) == NOON
        with frozen_at(NOON - SECOND):
            workspace.push("orders", [row], key="l")
            settled = settle(workspace.context, spend)
        table = workspace.context.tables.snapshot("sources/orders")
    assert (table.rows, settled) == (2, NOON)


def test_an_instant_that_has_not_come_is_refused(served_project: Path, tmp_path: Path) -> None:
    with open_workspace(served_project) as workspace, frozen_at(NOON - 2 * MINUTE):
        for verb in ("materialize", "score"):
            with pytest.raises(RefusedError, match=r"has not come: .* may still arrive"):
                COMPUTING[verb](workspace, tmp_path)


@pytest.mark.parametrize("verb", COMPUTING)
def test_a_load_in_flight_comes_to_its_end_first(served_project: Path, tmp_path: Path, verb: str) -> None:
    """Its process died: whoever waits for it brings it to its end."""
    with open_workspace(served_project) as workspace:
        ledger = workspace.context.ledger
        (done,) = ledger.select(LoadRecord, source="orders")
        schema = workspace.context.tables.snapshot("sources/orders").schema
        ledger.insert(book.begun(replace(done, number=done.number + 1, ingested_at=clock.now()), [], schema, None))
        COMPUTING[verb](workspace, tmp_path)
        assert ledger.select(LoadRecord) == [done]
