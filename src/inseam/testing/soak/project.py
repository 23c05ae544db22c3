"""The project that is soaked: a stream with two fresh views, and files with a view that is materialized."""

from __future__ import annotations

from pathlib import Path

DEFINITIONS = """
from inseam import (Entity, FeatureView, Source, approx_distinct, approx_quantile, count, distinct, last, last_n, max,
                    mean, quantile, ratio, std, sum, time_since_last, top_k)

customer = Entity("customer", key="customer_id")
columns = {"number": "int64", "customer_id": "int64", "at": "timestamp", "amount": "float64", "store": "string"}
orders = Source("orders", timestamp="at", schema=columns, stream=True)
visits = Source("visits", "visits", format="csv", timestamp="at", schema=columns)

spend = FeatureView("spend", orders, customer, every="1s", features={
    "orders_10s": count(over="10s"), "spend_1m": sum("amount", over="1m"), "mean_10m": mean("amount", over="10m"),
    "most": max("amount"), "spread_1m": std("amount", over="1m"), "stores_5m": distinct("store", over="5m"),
    "median_1m": quantile("amount", 0.5, over="1m"), "last_store": last("store", ttl="10m"),
    "big_5m": sum("amount", over="5m", where="amount > 50"), "share": ratio("big_5m", "spend_1m"),
    "idle": time_since_last(), "amounts_5m": approx_distinct("amount", over="5m"),
    "high_5m": approx_quantile("amount", 0.9, over="5m"),
})
live = FeatureView("live", orders, customer, every="0s", features={"orders_30s": count(over="30s")})
visited = FeatureView("visited", visits, customer, every="1s", features={
    "visits_1m": count(over="1m"), "spent_5m": sum("amount", over="5m"), "store": last_n("store", 2),
    "favourite": top_k("store", 2, over="5m"),
})
"""
FRESH = ("spend", "live")
VIEWS = (*FRESH, "visited")
CUSTOMERS = 200


def write_project(root: Path) -> None:
    (root / "visits").mkdir(parents=True)
    (root / "soaked.py").write_text(DEFINITIONS)
    (root / "inseam.toml").write_text(
        '[project]\nname = "soaked"\n\n[environments.default]\nmemory = "512MB"\nthreads = "1"\n'
    )
