"""Search and words: what is meant is found, misspelt or not, and no secret is shown."""

from __future__ import annotations

import pytest

from inseam import Entity, FeatureView, Label, Project, Source, TrainingSet, count, last, quantile, snapshots, sum
from inseam.kernel.errors import NotFoundError
from inseam.plan.catalogue import entries, entry_of, search
from inseam.plan.schemas import find_schemas

customer = Entity("customer", key="customer_id")
orders = Source(
    "orders",
    database="postgresql://shop:secret@host/db",
    query="SELECT * FROM orders",
    timestamp="ordered_at",
    schema={"customer_id": "int64", "ordered_at": "timestamp", "amount": "float64", "store": "string"},
    owner="growth",
)
spend = FeatureView(
    "spend",
    orders,
    customer,
    every="1d",
    lag="1h",
    tags=("core",),
    description="What customers spent",
    features={
        "orders_30d": count(over="30d", where="amount > 0"),
        "spend_30d": sum("amount", over="30d").about("Gross revenue", owner="finance", deprecated="use net_30d"),
        "median_90d": quantile("amount", 0.5, over="90d"),
        "last_store": last("store", ttl="365d"),
    },
)
will_lapse = TrainingSet(
    "will_lapse",
    spine=snapshots(customer, every="7d", active="90d"),
    features=[spend],
    label=Label(count(orders) == 0, ahead="60d"),
)
PROJECT = Project.of("shop", [will_lapse])
ENTRIES = entries(PROJECT, find_schemas(PROJECT, {}, None))


def found(text: str) -> list[str]:
    return [match.entry.ref for match in search(ENTRIES, text)]


def test_every_declaration_and_feature_is_listed() -> None:
    assert {entry.ref for entry in ENTRIES} == {
        "entity:customer",
        "source:orders",
        "feature_view:spend",
        "training_set:will_lapse",
        *(f"feature:spend.{name}" for name in spend.names),
    }


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("spend", "feature_view:spend"),
        ("spend_30d", "feature:spend.spend_30d"),
        ("SPEND 30d", "feature:spend.spend_30d"),
        ("revenue", "feature:spend.spend_30d"),
        ("finance", "feature:spend.spend_30d"),
        ("store", "feature:spend.last_store"),
        ("custmer", "entity:customer"),
        ("growth", "source:orders"),
        ("core", "feature_view:spend"),
    ],
)
def test_the_best_match_comes_first(text: str, first: str) -> None:
    assert found(text)[0] == first


def test_all_words_must_be_there() -> None:
    assert found("spend nothing") == []
    assert found("") == []
    assert "feature:spend.orders_30d" not in found("core amount store")


def test_words_say_window_filter_and_step() -> None:
    words = {entry.name: entry.definition for entry in ENTRIES}
    assert words["orders_30d"] == "how many rows in the last 30d, where amount > 0, of orders"
    assert words["median_90d"] == "the quantile 0.5 of amount in the last 90d, of orders"
    assert words["last_store"] == "store of the newest row, not older than 365d, of orders"
    assert "every 1d, readable 1h later" in words["spend"]
    assert words["will_lapse"].endswith("whether how many rows of orders in the 60d ahead is 0.")


def test_a_feature_inherits_from_its_view_what_it_does_not_say() -> None:
    by_name = {entry.name: entry for entry in ENTRIES}
    assert (by_name["spend_30d"].owner, by_name["spend_30d"].deprecated) == ("finance", "use net_30d")
    assert by_name["orders_30d"].tags == ("core",)
    assert by_name["orders_30d"].deprecated == ""


def test_an_address_with_a_password_is_not_shown() -> None:
    assert not any("secret" in str(entry.as_dict()) for entry in ENTRIES)


def test_names_are_found_with_and_without_their_kind() -> None:
    for text in ("spend.last_store", "feature:spend.last_store", "last_store"):
        assert entry_of(ENTRIES, text).ref == "feature:spend.last_store"
    assert entry_of(ENTRIES, "spend").ref == "feature_view:spend"
    with pytest.raises(NotFoundError, match="did you mean 'last_store'"):
        entry_of(ENTRIES, "last_stor")
