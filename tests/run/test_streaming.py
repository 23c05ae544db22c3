"""A project's streams: pushed rows are in the log at once, in the table when it is drained, in online rows after it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from inseam import Entity, FeatureView, Project, Source, sum
from inseam.kernel.clock import MINUTE, frozen_at, parse_instant
from inseam.kernel.errors import DataError, RefusedError
from inseam.run import streaming
from inseam.run.settings import Settings
from inseam.run.workspace import Workspace

NOON = parse_instant("2024-06-01T12:00:00Z")
COLUMNS = {"at": "timestamp", "customer_id": "int64", "amount": "float64"}
customer = Entity("customer", key="customer_id")
orders = Source("orders", timestamp="at", schema=COLUMNS, stream=True)
returns = Source("returns", "returns.csv", timestamp="at")
spend = FeatureView("spend", orders, customer, every="1m", features={"spend": sum("amount", over="1h")})


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace(Settings(tmp_path, "shop", "shop"), Project.of("shop", [spend, returns])) as workspace:
        yield workspace


def row(number: int) -> dict[str, object]:
    return {"at": f"2024-06-01T11:{number % 60:02}:00Z", "customer_id": number % 3, "amount": 1.0}


def test_definitions_of_streams_are_without_mistakes(workspace: Workspace) -> None:
    assert [problem.subject for problem in workspace.check()] == ["source:returns"]  # there is no file


def test_pushed_rows_are_in_the_table_when_it_is_drained(workspace: Workspace) -> None:
    assert workspace.push("orders", (row(number) for number in range(2500)), key="first") == 2500
    assert workspace.push("orders", (row(number) for number in range(2500)), key="first") == 2500
    assert workspace.push("orders", [row(1)], ids=["own"]) == 1
    load = workspace.ingest("orders")["orders"]
    assert load is not None
    assert load.rows_accepted == 2501
    assert workspace.context.tables.snapshot("sources/orders").rows == 2501
    assert workspace.ingest("orders") == {"orders": None}
    assert workspace.context.stream_log.read("orders", 0, 10) == []


def test_only_streams_whose_columns_are_known_take_rows(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="rows are not pushed to it"):
        workspace.push("returns", [row(1)], key="k")
    bare = Source("bare", "bare.csv", timestamp="at", stream=True)
    with Workspace(Settings(tmp_path, "shop", "shop"), Project.of("shop", [bare])) as other:
        with pytest.raises(RefusedError, match="its columns are not known yet"):
            other.push("bare", [{"at": "2024-06-01T00:00:00Z"}], key="k")
        (tmp_path / "bare.csv").write_text("at,number\n2024-01-01,1\n")
        other.ingest("bare")
        assert other.push("bare", [{"at": "2024-06-01T00:00:00Z", "number": 2}], key="k") == 1
        other.ingest("bare")
        assert other.context.tables.snapshot("sources/bare").rows == 2


def test_a_wrong_row_keeps_the_thousands_before_it(workspace: Workspace) -> None:
    rows = [row(number) for number in range(1500)]
    rows[1200]["amount"] = "x"
    with pytest.raises(DataError, match="row 1200, amount"):
        workspace.push("orders", rows, key="k")
    rows[1200]["amount"] = 2.0
    workspace.push("orders", rows, key="k")
    workspace.ingest("orders")
    assert workspace.context.tables.snapshot("sources/orders").rows == 1500


def test_materializing_drains_first(workspace: Workspace) -> None:
    with frozen_at(NOON):
        workspace.push("orders", [row(number) for number in range(60)], key="k")
        workspace.materialize("spend")
        fetched = workspace.fetch(["spend"], [{"customer_id": 1}])
    assert fetched.values == {"spend": [20.0]}


def test_the_backlog_tells_rows_and_the_age_of_the_oldest(workspace: Workspace) -> None:
    assert streaming.backlog(workspace.context)["orders"] == streaming.Backlog(0, 0.0)
    with frozen_at(NOON):
        workspace.push("orders", [row(1), row(2)], key="k")
    with frozen_at(NOON + MINUTE):
        workspace.push("orders", [row(1)], key="l")
        assert streaming.backlog(workspace.context)["orders"] == streaming.Backlog(3, 60.0)
        assert {source.name: source.waiting for source in workspace.status().sources} == {"orders": 3, "returns": 0}
        streaming.drain(workspace.context, "orders")
        assert streaming.backlog(workspace.context)["orders"] == streaming.Backlog(0, 0.0)
