"""Descriptions of a served project: what the ledger and the stores know, by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from inseam.ir.records import MaterializationRecord
from inseam.kernel.errors import NotFoundError
from inseam.run.workspace import open as open_workspace
from inseam.surface.cli.main import app


def test_a_feature_says_what_is_known_of_it(served_project: Path) -> None:
    with open_workspace(served_project) as workspace:
        found = workspace.describe("spend.spend_90d")
        (online,) = workspace.context.ledger.select(MaterializationRecord, view="spend", status="committed")
    assert found.entry.definition == "the sum of amount in the last 90d, of orders"
    assert found.used_by == ("training_set:will_lapse", "model:lapse", "endpoint:lapse")
    assert "source:orders" in found.uses
    assert found.freshness is not None
    assert (found.freshness.rows, found.coverage) == (online.rows, 1.0)
    assert found.freshness.age_seconds > 0
    assert found.column is not None
    assert found.column.training_set == "training_set:will_lapse"
    assert found.column.null_rate == 0
    assert sum(bar.share for bar in found.column.histogram) == pytest.approx(1)
    assert 0 < found.importance["model:lapse"] < 1
    assert found.drift is None


def test_importances_are_shares(served_project: Path) -> None:
    with open_workspace(served_project) as workspace:
        names = workspace.describe("feature_view:spend").features
        shares = [workspace.describe(name).importance.get("model:lapse", 0.0) for name in names]
    assert sum(shares) == pytest.approx(1)


def test_each_kind_has_versions(served_project: Path) -> None:
    with open_workspace(served_project) as workspace:
        source, view, training_set, model, endpoint = (
            workspace.describe(name) for name in ("orders", "spend", "will_lapse", "model:lapse", "endpoint:lapse")
        )
    assert source.versions[0]["quarantined"] == 1
    assert source.entry.columns["amount"] == "float64"
    assert view.versions[0]["is_declared"] is True
    assert training_set.versions[0]["train"] > 0
    assert (model.versions[0]["version"], model.versions[0]["is_champion"]) == (1, True)
    assert 0 < model.versions[0]["roc_auc"] <= 1
    assert "model:lapse" in endpoint.uses
    assert model.features[0] == "feature:spend.orders_30d"


def test_the_command_line_tells_people_and_programs(served_project: Path) -> None:
    shown = CliRunner().invoke(app, ["describe", "spend.spend_90d", "-p", str(served_project)], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    assert "importance in model:lapse" in shown.output
    told = CliRunner().invoke(app, ["describe", "spend.spend_90d", "-p", str(served_project), "--json"])
    assert json.loads(told.stdout)["column"]["rows"] > 0
    matches = CliRunner().invoke(app, ["search", "spend 90d", "-p", str(served_project), "--json"])
    assert json.loads(matches.stdout)["matches"][0]["ref"] == "feature:spend.spend_90d"
    assert "nothing found" in CliRunner().invoke(app, ["search", "zebra", "-p", str(served_project)]).output


def test_a_misspelt_name_is_told(served_project: Path) -> None:
    with open_workspace(served_project) as workspace, pytest.raises(NotFoundError, match="did you mean"):
        workspace.describe("spend.spend_91d")
