"""Order lines: rows of several entities, each with views of its own, as a training set and online."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest

from inseam.kernel.clock import from_datetime
from inseam.run.workspace import open as open_workspace

DEFINITIONS = """
from inseam import Entity, FeatureView, Label, Source, TrainingSet, count, last_n, mean, rows, time_since_last

customer = Entity("customer", key="customer_id")
product = Entity("product", key="product_id")
pair = Entity("pair", key=("customer_id", "product_id"))
lines = Source("lines", "data", timestamp="at")
buyer = FeatureView("buyer", lines, customer, every="1d", features={
    "lines_30d": count(over="30d"), "idle": time_since_last(), "bought": last_n("product_id", 2)})
price = FeatureView("price", lines, product, every="1h", features={"usual": mean("paid", over="90d")})
habit = FeatureView("habit", lines, pair, every="1d", features={"times": count()})
returns = TrainingSet("returns", spine=rows(lines, customer, product, columns=["paid", "is_returned"]),
                      features=[buyer, price, habit, "paid"], label=Label(column="is_returned"))
"""
HOUR = 3_600_000_000
DAY = 24 * HOUR
START = 19_700 * DAY


@dataclass(frozen=True)
class Lines:
    at: np.ndarray
    customer: np.ndarray
    product: np.ndarray
    paid: np.ndarray

    @classmethod
    def drawn(cls, count: int) -> Lines:
        random = np.random.default_rng(4)
        at = START + np.sort(random.integers(0, 60 * 24, count)) * HOUR
        paid = np.round(random.lognormal(2, 1, count), 2)
        return cls(at, random.integers(1, 9, count), random.integers(1, 5, count), paid)

    def csv(self) -> str:
        stamps = np.datetime_as_string(self.at.astype("datetime64[us]"), unit="s")
        rows = zip(stamps, self.customer, self.product, self.paid, strict=True)
        lines = [f"{t}Z,{c},p{p},{x},{(c + p) % 3 == 0}" for t, c, p, x in rows]
        return "\n".join(["at,customer_id,product_id,paid,is_returned", *lines, ""])

    def values(self, customer: int, product: str, instant: int) -> dict[str, object]:
        """What the views say of a customer and a product at an instant."""
        midnight, hour = instant // DAY * DAY, instant // HOUR * HOUR
        number = int(product[1:])
        own = (self.customer == customer) & (self.at < midnight)
        prices = self.paid[(self.product == number) & (self.at < hour)]
        newest = [f"p{p}" for p in self.product[own][::-1]]
        return {
            "lines_30d": int((own & (self.at >= midnight - 30 * DAY)).sum()),
            "idle": (midnight - int(self.at[own].max())) / 1e6 if own.any() else None,
            "bought_1": newest[0] if newest else None,
            "bought_2": newest[1] if len(newest) > 1 else None,
            "usual": float(np.mean(prices)) if prices.size else None,
            "times": int((own & (self.product == number)).sum()),
        }


def test_each_row_has_the_values_of_all_its_entities(tmp_path: Path) -> None:
    lines = Lines.drawn(600)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "lines.csv").write_text(lines.csv())
    (tmp_path / "shop.py").write_text(DEFINITIONS)
    (tmp_path / "inseam.toml").write_text('[project]\nname = "shop"\n')
    now = START + 61 * DAY + 5 * HOUR
    keys = [{"customer_id": 3, "product_id": "p2"}, {"customer_id": 8, "product_id": "p9"}]
    with open_workspace(tmp_path) as workspace:
        workspace.ingest(is_history=True)
        for row in parquet.read_table(workspace.build("returns").path).to_pylist()[::30]:
            assert_values(row, lines.values(row["customer_id"], row["product_id"], from_datetime(row["event_time"])))
        workspace.materialize(as_of=now)
        online = workspace.fetch(["buyer", "price", "habit"], keys, at=now).as_dicts()
        for key, found in zip(keys, online, strict=True):
            assert_values(found["features"], lines.values(key["customer_id"], key["product_id"], now))


def assert_values(found: Mapping[str, object], expected: Mapping[str, object]) -> None:
    assert {name: found[name] for name in expected} == pytest.approx(expected)
