"""Loading a project's sources: what the other declarations ask of their rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from inseam import Entity, FeatureView, Label, Project, Source, TrainingSet, count, snapshots
from inseam.kernel.errors import DataError
from inseam.run.settings import Settings
from inseam.run.workspace import Workspace


def project(location: str) -> Project:
    customer = Entity("customer", key="customer_id")
    visits = Source("visits", "visits.csv", timestamp="at")
    orders = Source("orders", location, timestamp="at")
    seen = FeatureView("seen", visits, customer, every="1d", features={"visits": count()})
    label = Label(count(orders) == 0, ahead="30d")
    lapse = TrainingSet("lapse", spine=snapshots(customer, every="7d", active="30d"), features=[seen], label=label)
    return Project.of("shop", [lapse])


@pytest.mark.parametrize("name", ["visits", "orders"])
def test_a_file_without_the_key_of_an_entity_that_views_or_labels_read_is_refused(tmp_path: Path, name: str) -> None:
    for source in ("visits", "orders"):
        (tmp_path / f"{source}.csv").write_text("at,customer_id\n2024-01-01,1\n")

    with Workspace(Settings(tmp_path, "shop", "shop"), project("*orders.csv")) as workspace:
        workspace.ingest()
        path = tmp_path / ("visits.csv" if name == "visits" else "more_orders.csv")
        path.write_text("at,customer\n2024-01-02,1\n")
        with pytest.raises(DataError, match="no column 'customer_id', which is an entity's key"):
            workspace.ingest(name)
        assert {source.name: source.rows for source in workspace.status().sources} == {"visits": 1, "orders": 1}
