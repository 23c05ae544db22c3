"""Fingerprints of declarations: what counts, what does not, and how a change travels."""

import pytest

from inseam.define.project import Project
from inseam.plan.meaning import lineage, own


def prints(project: Project) -> dict[str, str]:
    return {str(item.ref): lineage(item) for item in project.declarations}


def changed(before: Project, after: Project) -> set[str]:
    """What says something else itself."""
    one = {str(item.ref): own(item) for item in before.declarations}
    other = {str(item.ref): own(item) for item in after.declarations}
    return {ref for ref in one.keys() | other.keys() if one.get(ref) != other.get(ref)}


def test_loading_twice_gives_the_same_fingerprints(shop):
    assert prints(shop()) == prints(shop())


@pytest.mark.parametrize(
    "changes",
    [
        [("orders = Source(", "# all of them\norders = Source(")],
        [('"spend", orders, customer, every="1d"', '"spend", orders, customer,\n    every="1d"')],
        [
            ("browsing = Feat", "seen = Feat"),
            ("(spend, browsing)", "(spend, seen)"),
            ("[spend, browsing", "[spend, seen"),
        ],
        [('every="1d"', 'every="24h"')],
        [('over="30d"', 'over="720h"')],
        [('lag="10m"', 'lag="600s"')],
        [('active="180d"', 'active="4320h"')],
        [('ahead="60d"', 'ahead="1440h"')],
        [('Split(test="30d")', 'Split(test="720h")')],
        [('max_staleness="2d"', 'max_staleness="48h"')],
        [("event_time) -> float:", 'event_time) -> float:\n    """How keen."""')],
        [("def train(data, params):", "def learn(data, params):"), ('lapse", train', 'lapse", learn')],
        [('every="1h"', 'owner="web", description="what they look at", tags=("a",), every="1h"')],
        [('"data/orders.csv"', '"data/moved/*.csv"')],
        [('sql="SELECT * FROM orders WHERE paid"', 'sql="""SELECT *  -- all\n    FROM orders\n    WHERE paid"""')],
        [('where="amount > 0"', 'where="amount>0"')],
        [('schema={"at": "timestamp", "customer_id": "int64"', 'schema={"customer_id": "int64", "at": "timestamp"')],
    ],
    ids=lambda changes: changes[0][1],
)
def test_what_means_the_same_has_the_same_fingerprint(shop, changes: list[tuple[str, str]]):
    assert prints(shop()) == prints(shop(*changes))


@pytest.mark.parametrize(
    ("before", "after", "ref"),
    [
        ('over="30d"', 'over="60d"', "feature_view:spend"),
        ('where="amount > 0"', 'where="amount > 1"', "feature_view:spend"),
        ('where="amount > 0"', "where=\"store_id = 'a  b'\"", "feature_view:spend"),
        ("FROM orders WHERE paid", "FROM orders WHERE not paid", "transform:paid"),
        ('every="1d"', 'every="2d"', "feature_view:spend"),
        ('every="1d"', 'every="1d", timezone="Europe/Berlin"', "feature_view:spend"),
        ('ttl="365d"', 'ttl="366d"', "feature_view:spend"),
        ('last("store_id"', 'first("store_id"', "feature_view:spend"),
        ('lag="10m"', 'lag="20m"', "feature_view:browsing"),
        ('"pages": "int64"', '"pages": "float64"', "source:visits"),
        ("amount >= 0", "amount > 0", "source:orders"),
        ("WHERE paid", "WHERE not paid", "transform:paid"),
        ("(spend_30d + 1)", "(spend_30d + 2)", "on_demand:keenness"),
        ("basket: float", "basket: int", "on_demand:basket_ratio"),
        ('active="180d"', 'active="90d"', "training_set:will_lapse"),
        ("count(orders) == 0", "count(orders) == 1", "training_set:will_lapse"),
        ("count(orders) == 0", "count(orders) > 0", "training_set:will_lapse"),
        ('ahead="60d"', 'ahead="30d"', "training_set:will_lapse"),
        ("[spend, browsing, keenness]", "[browsing, spend, keenness]", "training_set:will_lapse"),
        ('test="30d"', 'test="60d"', "training_set:amounts"),
        ("return data", "return params", "model:lapse"),
        ("trials=3)", "trials=3), seed=1", "model:lapse"),
        ('at_least("roc_auc", 0.7)', 'at_least("roc_auc", 0.8)', "model:lapse"),
        ('max_staleness="2d"', 'max_staleness="3d"', "endpoint:lapse"),
        ('"customer", key="customer_id"', '"customer", key=("customer_id", "store_id")', "entity:customer"),
    ],
)
def test_what_means_something_else_has_another_fingerprint(shop, before: str, after: str, ref: str):
    assert changed(shop(), shop((before, after))) == {ref}


def test_a_source_that_is_not_used_changes_nothing_else(shop):
    old, new = prints(shop()), prints(shop(('"pages": "int64"', '"pages": "float64"')))
    assert {ref for ref in old if old[ref] != new[ref]} == {
        "source:visits",
        "feature_view:browsing",
        "on_demand:keenness",
        "on_demand:basket_ratio",
        "training_set:will_lapse",
        "training_set:amounts",
        "model:lapse",
        "model:amount",
        "endpoint:lapse",
    }


def test_the_order_of_features_counts_for_online_rows_are_laid_out_in_it(shop):
    moved = (
        ('    "orders_30d": count(over="30d"),\n', ""),
        ('ttl="365d"),\n', 'ttl="365d"),\n    "orders_30d": count(over="30d"),\n'),
    )
    assert changed(shop(), shop(*moved)) == {"feature_view:spend"}
