"""A small real project on disk: 300 customers, a year of orders in CSV, one view, one model, one endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from inseam.run.workspace import Workspace
from inseam.run.workspace import open as open_workspace

DEFINITIONS = """
from inseam import Endpoint, Entity, FeatureView, Label, Source, Split, TrainingSet
from inseam import at_least, count, last, mean, model, no_unseen_features, not_null, snapshots, sum

customer = Entity("customer", key="customer_id")
orders = Source("orders", "data/orders", timestamp="ordered_at", checks=["amount >= 0", not_null("customer_id")])
spend = FeatureView("spend", orders, customer, every="1d", features={
    "orders_30d": count(over="30d"),
    "spend_30d": sum("amount", over="30d"),
    "spend_90d": sum("amount", over="90d"),
    "mean_90d": mean("amount", over="90d"),
    "last_store": last("store"),
})
will_lapse = TrainingSet(
    "will_lapse", spine=snapshots(customer, every="7d", active="90d"), features=[spend],
    label=Label(count(orders) == 0, ahead="30d"), split=Split(test="90d"),
)

@model("lapse", will_lapse, metric="roc_auc", gates=[at_least("roc_auc", 0.55), no_unseen_features()])
def train(data, params):
    from xgboost import XGBClassifier
    return XGBClassifier(n_estimators=20, max_depth=3, n_jobs=1, random_state=params["seed"]).fit(data.X, data.y)

lapse = Endpoint("lapse", train)
"""


def write_project(root: Path, *, customers: int = 300, seed: int = 3) -> Path:
    (root / "shop").mkdir(parents=True)
    (root / "shop" / "__init__.py").write_text("")
    (root / "shop" / "definitions.py").write_text(DEFINITIONS)
    (root / "inseam.toml").write_text('[project]\nname = "shop"\n\n[environments.default]\nmemory = "512MB"\n')
    write_orders(root / "data" / "orders", customers=customers, seed=seed)
    return root


def write_orders(directory: Path, *, customers: int, seed: int) -> None:
    """Customers buy at rates of their own, and some stop: the past tells something about the future."""
    directory.mkdir(parents=True)
    random = np.random.default_rng(seed)
    rate = random.gamma(1.2, 1 / 18, customers)
    stop = np.where(random.random(customers) < 0.4, random.integers(60, 365, customers), 400)
    days = [np.flatnonzero(random.random(365) < rate[c]) for c in range(customers)]
    rows = sorted((int(d), c + 1) for c in range(customers) for d in days[c] if d < stop[c])
    start = np.datetime64("2024-01-01T00:00:00")
    for month in range(12):
        lines = ["customer_id,ordered_at,amount,store"]
        for day, customer in rows:
            if day * 12 // 365 == month:
                moment = start + np.timedelta64(day * 86_400 + int(random.integers(0, 86_400)), "s")
                lines.append(f"{customer},{moment}Z,{random.lognormal(3, 0.6):.2f},s{customer % 5}")
        if month == 3:
            lines.append("7,2024-04-11T10:00:00Z,-5.00,s1")
        (directory / f"{month + 1:02d}.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project")


@pytest.fixture
def workspace(project: Path) -> Iterator[Workspace]:
    with open_workspace(project) as opened:
        yield opened


@pytest.fixture(scope="session")
def served_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Loaded, applied, trained and materialized once; tests that only read share it."""
    root = write_project(tmp_path_factory.mktemp("served") / "project")
    with open_workspace(root) as opened:
        opened.ingest(is_history=True)
        opened.train("lapse")
        opened.apply()
    return root
