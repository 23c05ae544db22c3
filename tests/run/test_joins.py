"""Joined rows on every path: examples, training set, online rows, audit and replay; held to plain Python."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest

from inseam.ir.view_record import plain_view, view_of
from inseam.kernel.clock import DAY, HOUR, format_instant, from_datetime
from inseam.kernel.types import DataType, Field
from inseam.ports.pin import view_at
from inseam.run.receipt import recompute
from inseam.run.workspace import Workspace
from inseam.run.workspace import open as open_workspace

DEFINITIONS = """
from inseam import Entity, Example, FeatureView, Join, Label, Source, TrainingSet, Transform, count, last, mean, rows

customer = Entity("customer", key="customer_id")
product = Entity("product", key="product_id")
lines = Source("lines", "lines", timestamp="at")
prices = Source("prices", "prices", timestamp="listed_at")
price = FeatureView("price", prices, product, every="1h", features={"listed": last("amount"), "changes": count()})
priced = Join("priced", lines, price, on={"product_id": "item"}, prefix="product_")
margins = Transform("margins", priced, sql="SELECT *, paid - product_listed AS margin FROM lines")
buyer = FeatureView("buyer", margins, customer, every="1d", features={
    "usual": mean("product_listed", over="30d"),
    "margin": mean("margin", over="30d"),
    "dear": count(over="30d", where="product_listed > 10"),
})
returns = TrainingSet("returns", spine=rows(priced, customer, columns=["product_listed", "is_returned"]),
                      features=[buyer, "product_listed"], label=Label(column="is_returned"))
Example(priced, given={
    "lines": [{"customer_id": 1, "item": "a", "paid": 3.0, "at": "2024-05-02T10:00:00Z"}],
    "prices": [{"product_id": "a", "amount": 2.0, "listed_at": "2024-05-02T08:00:00Z"},
               {"product_id": "a", "amount": 9.0, "listed_at": "2024-05-02T10:00:00Z"}],
}, expect=[{"customer_id": 1, "product_listed": 2.0, "product_changes": 1}])
"""
START = 19_700 * DAY
NOW = START + 41 * DAY + 5 * HOUR


@dataclass
class Shop:
    """What was loaded: (instant, customer, item, paid) and (instant, product, amount)."""

    root: Path
    lines: list[tuple[int, int, str, float]] = field(default_factory=list)
    prices: list[tuple[int, str, float]] = field(default_factory=list)

    def add_lines(self, *lines: tuple[int, int, str, float]) -> None:
        self.lines += lines
        self._write("lines", "at,customer_id,item,paid,is_returned", [(*line, line[1] % 2 == 0) for line in lines])

    def add_prices(self, *prices: tuple[int, str, float]) -> None:
        self.prices += prices
        self._write("prices", "listed_at,product_id,amount", prices)

    def _write(self, source: str, head: str, rows: Any) -> None:
        (self.root / source).mkdir(exist_ok=True)
        texts = [",".join(map(str, (format_instant(row[0]), *row[1:]))) for row in rows]
        (self.root / source / f"{len(texts)}.csv").write_text("\n".join([head, *texts, ""]))

    def listed(self, item: str, instant: int) -> float | None:
        """The price of the newest list before the hour."""
        known = [(at, place) for place, (at, product, _) in enumerate(self.prices) if product == item]
        before = [one for one in known if one[0] < instant // HOUR * HOUR]
        return self.prices[max(before)[1]][2] if before else None

    def buyer(self, customer: int, instant: int) -> dict[str, Any]:
        midnight = instant // DAY * DAY
        inside = [x for x in self.lines if x[1] == customer and midnight - 30 * DAY <= x[0] < midnight]
        found = [(price, paid) for at, _, item, paid in inside if (price := self.listed(item, at)) is not None]
        return {
            "usual": float(np.mean([price for price, _ in found])) if found else None,
            "margin": float(np.mean([paid - price for price, paid in found])) if found else None,
            "dear": sum(price > 10 for price, _ in found),
        }


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    random = np.random.default_rng(8)
    made = Shop(tmp_path_factory.mktemp("joins"))
    hours, amounts = random.integers(0, 40 * 24, 200), np.round(random.lognormal(2, 1, 200), 2)
    drawn = list(zip(hours.tolist(), random.integers(1, 5, 200).tolist(), amounts.tolist(), strict=True))
    made.add_lines(*((START + h * HOUR, n, f"p{n * h % 5}", amount) for h, n, amount in drawn[:140]))
    made.add_prices(*((START + h * HOUR, f"p{n}", amount) for h, n, amount in drawn[140:]))
    (made.root / "shop.py").write_text(DEFINITIONS)
    (made.root / "inseam.toml").write_text('[project]\nname = "shop"\n')
    return made


@pytest.fixture(scope="module")
def workspace(shop: Shop) -> Iterator[Workspace]:
    with open_workspace(shop.root) as opened:
        opened.ingest(is_history=True)
        yield opened


def online(workspace: Workspace, customer: int) -> tuple[dict[str, Any], int]:
    (found,) = workspace.fetch(["buyer"], [{"customer_id": customer}], at=NOW).as_dicts()
    return found["features"], found["views"]["buyer"]["version"]


def test_examples_give_rows_of_both_sources(workspace: Workspace) -> None:
    assert [(result.differences, result.problems) for result in workspace.test()] == [((), ())]


def test_a_training_set_holds_what_was_known_at_the_instants_of_the_rows(workspace: Workspace, shop: Shop) -> None:
    record = workspace.build("returns")
    assert set(record.snapshots) == {"sources/lines", "sources/prices"}
    built = parquet.read_table(record.path).to_pylist()
    assert len(built) == len(shop.lines) and {row["product_listed"] is None for row in built} == {True, False}
    listed = sorted((at, customer, shop.listed(item, at) or 0) for at, customer, item, _ in shop.lines)
    rows = [(from_datetime(row["event_time"]), row["customer_id"], row["product_listed"] or 0) for row in built]
    assert sorted(rows) == listed
    for row in built[::20]:
        expected = shop.buyer(row["customer_id"], from_datetime(row["event_time"]))
        assert {name: row[name] for name in expected} == pytest.approx(expected)


def test_a_plan_counts_the_rows_of_all_sources_that_are_read(workspace: Workspace, shop: Shop) -> None:
    (work,) = (one for one in workspace.plan().work if one.subject == "buyer")
    assert work.rows == len(shop.lines) + len(shop.prices)
    workspace.materialize("buyer", as_of=NOW)
    (run,) = (one for one in workspace.runs() if (one.step, one.subject) == ("materialize", "buyer"))
    assert run.outputs["read"] == work.rows


def test_online_rows_name_the_versions_of_all_tables_and_are_computed_again_from_them(
    workspace: Workspace, shop: Shop
) -> None:
    workspace.materialize("buyer", as_of=NOW)
    before, version = online(workspace, 3)
    assert before == pytest.approx(shop.buyer(3, NOW))
    (audited,) = workspace.audit("buyer", is_online=True)
    assert audited.rows == audited.equal == 4

    # History changes the past: of the lines themselves nothing is new.
    shop.add_prices(*((START - DAY, f"p{n}", 50.0) for n in range(6)))
    workspace.ingest("prices", is_history=True)
    workspace.materialize("buyer", as_of=NOW)
    after, newer = online(workspace, 3)
    assert after == pytest.approx(shop.buyer(3, NOW)) and after["dear"] > before["dear"] and newer > version

    context = workspace.context
    view, fingerprint = context.view("buyer", context.checked())
    assert view_of(plain_view(view)) == view, "a version of the view is kept with all that it joins"
    keys = (Field("customer_id", DataType.INT64),)
    for number, values in ((version, before), (newer, after)):
        pinned = view_at(view, fingerprint, number, context.ledger)
        assert recompute(context.engine, pinned, keys, {"customer_id": 3}, view.boundary(NOW)) == values
    workspace.materialize("buyer", as_of=NOW)
    assert online(workspace, 3)[1] == newer, "the same versions are the same state"
