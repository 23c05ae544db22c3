"""Views over streams in a project: from a push to the value that is fetched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from inseam.adapters.sql import lease
from inseam.adapters.sql.ledger import SqlLedger
from inseam.adapters.sql.tables import LEASE
from inseam.define.aggregate import count, sum
from inseam.define.entity import Entity
from inseam.define.feature_view import FeatureView
from inseam.define.project import Project
from inseam.define.source import Source
from inseam.kernel.clock import HOUR, MINUTE, SECOND, frozen_at, parse_instant
from inseam.kernel.errors import ConflictError, RefusedError, UnavailableError
from inseam.plan.meaning import lineage
from inseam.ports.tables import Snapshot
from inseam.run.freshening import Freshness
from inseam.run.settings import Settings
from inseam.run.workspace import Workspace
from inseam.stages.features.materialize import prune
from inseam.stages.features.tile_table import tile_table

NOON = parse_instant("2024-06-01T12:00:00Z")
COLUMNS = {"at": "timestamp", "customer_id": "int64", "amount": "float64"}
customer = Entity("customer", key="customer_id")
orders = Source("orders", timestamp="at", schema=COLUMNS, stream=True)
files = Source("files", "files.csv", timestamp="at", schema=COLUMNS)
spend = FeatureView("spend", orders, customer, every="1s", features={"spend": sum("amount", over="1h")})
visits = FeatureView("visits", orders, customer, every="0s", lag="2s", features={"visits": count(over="1h")})
filed = FeatureView("filed", files, customer, every="1d", features={"filed": count()})


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace(Settings(tmp_path, "shop", "shop"), Project.of("shop", [spend, visits, filed])) as workspace:
        yield workspace


def row(number: int, at: str = "11:30:00") -> dict[str, object]:
    return {"at": f"2024-06-01T{at}Z", "customer_id": 1, "amount": float(number), "_id": f"{at}-{number}"}


def fetched(workspace: Workspace, at: int, view: str = "spend") -> tuple[float | None, int]:
    rows = workspace.fetch([view], [{"customer_id": 1}], at=at)
    return rows.values[view][0], int(rows.boundaries[view][0])


def test_what_was_pushed_is_read_at_the_next_boundary_and_leaves_with_its_window(workspace: Workspace) -> None:
    steps: list[Freshness] = []
    with frozen_at(NOON):
        workspace.push("orders", [row(1), row(2)])
        workspace.freshen("spend", is_once=True, told=steps.append)
        assert fetched(workspace, NOON) == (3.0, NOON)
    with frozen_at(NOON + SECOND):
        workspace.push("orders", [row(4), row(1)])  # the second is the first one again
        assert fetched(workspace, NOON + SECOND) == (3.0, NOON), "the boundary that it names is the one that it is of"
        workspace.freshen("spend", is_once=True, told=steps.append)
        assert fetched(workspace, NOON + SECOND) == (7.0, NOON + SECOND)
    with frozen_at(NOON + HOUR):
        workspace.freshen("spend", is_once=True, told=steps.append)
        assert fetched(workspace, NOON + HOUR) == (None, NOON + HOUR)
    assert [(step.rows, step.entities) for step in steps] == [(2, 1), (1, 1), (0, 0)]
    assert [step.behind_seconds for step in steps] == [0.0, 0.0, 0.0]


def test_a_step_reads_the_loads_that_came_since(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    tables = workspace.context.tables
    snapshot = tables.snapshot

    def watched(*arguments: Any, **options: Any) -> Snapshot:
        found = snapshot(*arguments, **options)
        if options.get("since") is not None:
            read.append(len(found.files))
        return found

    monkeypatch.setattr(tables, "snapshot", watched)
    for second in range(4):
        with frozen_at(NOON + second * SECOND):
            workspace.push("orders", [row(1 + second)] if second < 3 else [row(9, "11:29:59")])
            workspace.freshen("spend", is_once=True)
    assert read == [2, 2, 2], "the new load, and the one that was stamped at the boundary: of two, three and four"
    assert fetched(workspace, NOON + 3 * SECOND) == (15.0, NOON + 3 * SECOND)


def test_a_continuous_view_over_a_stream_names_the_instant_that_was_applied(workspace: Workspace) -> None:
    with frozen_at(NOON + 5):
        workspace.push("orders", [row(1), row(1, "11:59:59")])
        workspace.freshen("visits", is_once=True)
        assert fetched(workspace, NOON + MINUTE, "visits") == (1, NOON + 5 - 2 * SECOND)


def test_materializing_a_view_over_a_stream_is_a_step(workspace: Workspace) -> None:
    with frozen_at(NOON):
        workspace.push("orders", [row(1)])
        assert workspace.materialize("spend")["spend"].boundary == NOON
        assert fetched(workspace, NOON) == (1.0, NOON)
    with frozen_at(NOON + SECOND):
        workspace.freshen("spend", is_once=True)
        assert [view.boundary for view in workspace.status().views if view.name == "spend"] == [NOON + SECOND]


def test_only_views_over_streams_are_kept_fresh_and_by_one_process(workspace: Workspace) -> None:
    with pytest.raises(RefusedError, match="inseam materialize filed"):
        workspace.freshen("filed", is_once=True)
    with pytest.raises(UnavailableError, match="inseam freshen spend"):
        workspace.fetch(["spend"], [{"customer_id": 1}])
    with frozen_at(NOON):
        workspace.push("orders", [row(1)])
        with workspace.context.ledger.lease("freshen:spend"), pytest.raises(ConflictError):
            workspace.freshen(is_once=True)


def test_a_process_whose_views_were_taken_over_while_it_slept_ends(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease is another's, as it finds when it looks, after its first step."""
    monkeypatch.setattr(lease, "SILENCE_SECONDS", 0.0)
    steps: list[Freshness] = []

    def lose(step: Freshness) -> None:
        steps.append(step)
        database = SqlLedger(workspace.context.settings.ledger_url)._database
        database.transact(lambda connection: connection.execute(sa.update(LEASE).values(token="another's")))

    workspace.push("orders", [row(1)])
    with pytest.raises(ConflictError, match=r"freshen:spend.* taken over"):
        workspace.freshen("spend", told=lose)
    assert len(steps) == 1


def test_pruning_keeps_the_tiles_of_what_is_declared(workspace: Workspace) -> None:
    store, ledger = workspace.context.online, workspace.context.ledger
    with frozen_at(NOON):
        workspace.push("orders", [row(1)])
        workspace.freshen("spend", is_once=True)
        assert prune(store, ledger, {("spend", lineage(spend))}) == []
        assert fetched(workspace, NOON) == (1.0, NOON)
        assert prune(store, ledger, ()) == [tile_table("spend", lineage(spend))]
        assert not store.tables()
