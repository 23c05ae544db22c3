"""A small project without mistakes, loaded from files so that places can be seen."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inseam.define.project import Project, load

SHOP = """\
import numpy as np
from inseam import (Endpoint, Entity, FeatureView, Label, Source, Split, Transform, TrainingSet, Tune, at_least,
                    beats_champion, calibration, check, count, first, integer, last, mean, model, no_skew, not_null,
                    number, on_demand, quantile, rows, slice_gap, snapshots, sum, table, transform)

customer = Entity("customer", key="customer_id")
store = Entity("store", key="store_id")

orders = Source(
    "orders", "data/orders.csv", timestamp="ordered_at",
    schema={"ordered_at": "timestamp", "customer_id": "int64", "store_id": "string", "amount": "float64",
            "quantity": "int64", "paid": "bool", "day": "date"},
    checks=["amount >= 0", not_null("customer_id")],
)
visits = Source("visits", "data/visits.csv", timestamp="at",
                schema={"at": "timestamp", "customer_id": "int64", "pages": "int64"})
paid = Transform("paid", orders, sql="SELECT * FROM orders WHERE paid")

spend = FeatureView("spend", orders, customer, every="1d", features={
    "orders_30d": count(over="30d"),
    "spend_30d": sum("amount", over="30d", where="amount > 0"),
    "last_store": last("store_id", ttl="365d"),
})
browsing = FeatureView("browsing", visits, customer, every="1h", lag="10m", features={
    "pages_7d": mean("pages", over="7d"),
})

@on_demand(spend, browsing)
def keenness(pages_7d: float, spend_30d: float, event_time) -> float:
    return pages_7d / (spend_30d + 1)

@on_demand(spend, keenness)
def basket_ratio(basket: float, spend_30d: float, keenness: float) -> float:
    return basket / (spend_30d + keenness)

will_lapse = TrainingSet("will_lapse", spine=snapshots(customer, every="7d", active="180d"),
                         features=[spend, browsing, keenness], label=Label(count(orders) == 0, ahead="60d"))
amounts = TrainingSet("amounts", spine=rows(orders, customer, columns=["amount", "basket"]),
                      features=[spend["orders_30d"], basket_ratio], label=Label(column="amount"),
                      split=Split(test="30d"))

@model("lapse", will_lapse, metric="roc_auc", gates=[at_least("roc_auc", 0.7), beats_champion()],
       slices=["last_store"], tune=Tune({"depth": integer(2, 5)}, trials=3))
def train(data, params):
    return data

@model("amount", amounts, metric="rmse")
def fit(data, params):
    return data

lapse = Endpoint("lapse", train, unknown="default", defaults={"orders_30d": 0}, max_staleness="2d")
""".replace('"day": "date"}', '"day": "date", "basket": "float64"}')

Load = Callable[..., Project]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Load]:
    """Load the project after replacing texts in it, each of which must occur."""

    def load_shop(*changes: tuple[str, str]) -> Project:
        text = SHOP
        for before, after in changes:
            assert before in text, before
            text = text.replace(before, after, 1)
        (tmp_path / "shop.py").write_text(text)
        return load("shop", "shop", tmp_path)

    path = list(sys.path)
    yield load_shop
    sys.path[:] = path
    sys.modules.pop("shop", None)
