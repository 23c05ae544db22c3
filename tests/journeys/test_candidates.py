"""Candidates: products that a customer looked at, scored in training, by the batch, and by one request alike."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
from fastapi.testclient import TestClient

from inseam.kernel.clock import DAY, HOUR, format_instant, from_datetime, now, parse_instant
from inseam.run.serving import application
from inseam.run.workspace import open as open_workspace

DEFINITIONS = """
from inseam import Endpoint, Entity, FeatureView, Label, Source, TrainingSet
from inseam import count, last_n, model, snapshots, top_k, wildcard

customer = Entity("customer", key="customer_id")
product = Entity("product", key="product_id")
pair = Entity("pair", key=("customer_id", "product_id"))
views = Source("views", "views.csv", timestamp="viewed_at")
orders = Source("orders", "orders.csv", timestamp="ordered_at")
viewed = FeatureView("viewed", views, customer, every="1d", features={
    "seen": top_k("item", 3), "newest": last_n("item", 2)})
affinity = FeatureView("affinity", orders, pair, every="1d", features={"bought": count()})
popularity = FeatureView("popularity", orders, product, every="1d", features={"sold": count()})
spine = wildcard(snapshots(customer, every="7d", rows=views), product, viewed.select("seen", "newest"))
next_buy = TrainingSet("next_buy", spine=spine, features=[affinity, popularity],
                       label=Label(count(orders) > 0, ahead="7d"))

@model("buys", next_buy, metric="roc_auc")
def train(data, params):
    from sklearn.tree import DecisionTreeClassifier
    return DecisionTreeClassifier(max_depth=4, random_state=0).fit(data.X, data.y)

buys = Endpoint("buys", train)
"""
START = parse_instant("2024-01-01")
CUSTOMERS, DAYS = 30, 90
PREDICT = "/endpoints/buys/predict"


class Shop:
    """Who looked at what, and bought it a little later more often than not."""

    def __init__(self) -> None:
        random = np.random.default_rng(9)
        self.views: list[tuple[int, str, int]] = []
        self.orders: list[tuple[int, str, int]] = []
        for hour in range(0, DAYS * 24, 2):
            customer, item = int(random.integers(1, CUSTOMERS)), f"p{random.integers(0, 8)}"
            self.views.append((customer, item, START + hour * HOUR))
            if random.random() < 0.5:
                bought = item if random.random() < 0.8 else f"p{random.integers(0, 8)}"
                self.orders.append((customer, bought, START + hour * HOUR + DAY))

    def write(self, root: Path) -> Path:
        root.mkdir()
        for name, (item, at), rows in (
            ("views", ("item", "viewed_at"), self.views),
            ("orders", ("product_id", "ordered_at"), self.orders),
        ):
            lines = [f"{customer},{product},{format_instant(t)}" for customer, product, t in rows]
            (root / f"{name}.csv").write_text("\n".join([f"customer_id,{item},{at}", *lines, ""]))
        (root / "shop.py").write_text(DEFINITIONS)
        (root / "inseam.toml").write_text('[project]\nname = "shop"\n')
        return root

    def candidates(self, customer: int, instant: int) -> list[str]:
        """The three items that a customer looked at most, then the last two, as of a midnight."""
        own = [item for one, item, t in self.views if one == customer and t < instant // DAY * DAY]
        counts = Counter(own)
        most = sorted(counts, key=lambda item: (-counts[item], item))[:3]
        return list(dict.fromkeys([*most, *reversed(own[-2:])]))


def test_what_is_trained_on_is_what_one_request_and_a_batch_are_answered_with(tmp_path: Path) -> None:
    shop = Shop()
    root = shop.write(tmp_path / "shop")
    with open_workspace(root) as workspace:
        workspace.ingest(is_history=True)
        assert_rows_are_the_candidates(shop, workspace.train("buys").training_set.path)
        workspace.apply()
        customers = [1, 2, 3, CUSTOMERS + 7]
        with TestClient(application(root, "default")) as client:
            served = predictions(client, [{"customer_id": customer} for customer in customers])
            expected = {c: shop.candidates(c, now()) for c in customers}
            pairs = [{"customer_id": c, "product_id": item} for c in customers for item in expected[c]]
            assert [one["key"] for one in served] == pairs, "none of whom nobody knows"
            named = predictions(client, pairs)
            assert [one["probability"] for one in named] == [one["probability"] for one in served]
            assert {one["boundaries"]["viewed"] for one in served} == {format_instant(now() // DAY * DAY)}
        for one in served[::3]:
            replay = workspace.replay(one["id"])
            assert replay.is_equal and replay.receipt.prediction.keys == one["key"]
        assert_scored(workspace.score("buys", out=tmp_path / "scores.parquet").out, served, customers)
        entities = tmp_path / "asked.csv"
        entities.write_text("\n".join(["customer_id,event_time", f"2,{format_instant(now())}", ""]))
        of_file = workspace.score("buys", out=tmp_path / "two.parquet", spine=entities).out
        assert parquet.read_table(of_file)["product_id"].to_pylist() == expected[2]
        assert {one.subject for one in workspace.audit("buys", is_online=True) if one.equal == one.rows > 0} == {
            f"feature_view:{view}" for view in ("viewed", "affinity", "popularity")
        }
    (root / "shop.py").write_text(DEFINITIONS.replace('top_k("item", 3)', 'top_k("item", 1)'))
    with TestClient(application(root, "default")) as client:
        again = predictions(client, [{"customer_id": customer} for customer in customers])
    assert [one["key"] for one in again] == pairs, "as the model was trained, until another one is"


def predictions(client: TestClient, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    answer = client.post(PREDICT, json={"rows": rows})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["predictions"]
    return found


def assert_rows_are_the_candidates(shop: Shop, path: str) -> None:
    rows = parquet.read_table(path, columns=["customer_id", "product_id", "event_time", "label"]).to_pylist()
    found: dict[tuple[int, int], list[str]] = {}
    for row in rows:
        customer, t = row["customer_id"], from_datetime(row["event_time"])
        found.setdefault((customer, t), []).append(row["product_id"])
        ahead = [o for o in shop.orders if o[:2] == (customer, row["product_id"]) and t <= o[2] < t + 7 * DAY]
        assert row["label"] == bool(ahead)
    assert len(found) > 100
    assert found == {key: shop.candidates(*key) for key in found}


def assert_scored(path: str, served: list[dict[str, Any]], customers: list[int]) -> None:
    scores = parquet.read_table(path).to_pylist()
    found = [
        ({name: row[name] for name in ("customer_id", "product_id")}, row["probability"])
        for row in sorted(scores, key=lambda row: int(row["customer_id"]))
        if row["customer_id"] in customers
    ]
    assert found == [(one["key"], one["probability"]) for one in served]
