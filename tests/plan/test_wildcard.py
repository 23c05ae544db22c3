"""Wildcard spines as declared: what they mean, which mistakes they can have, what a change of the members reaches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inseam import (
    Endpoint,
    Entity,
    FeatureView,
    Label,
    Source,
    TrainingSet,
    count,
    last,
    last_n,
    model,
    rows,
    snapshots,
    top_k,
    wildcard,
)
from inseam.define.project import Project
from inseam.ir.spine import SnapshotsSpine, WildcardSpine
from inseam.kernel.errors import DefinitionError, Problem
from inseam.kernel.types import DataType, Field
from inseam.plan.check import check
from inseam.plan.deprecation import warnings
from inseam.plan.diff import downstream
from inseam.plan.lower import endpoint_spec, key_fields, training_set_spec
from inseam.plan.meaning import lineage
from inseam.plan.schemas import Schemas, find_schemas
from inseam.plan.words import in_words

customer = Entity("customer", key="customer_id")
product = Entity("product", key="product_id")
pair = Entity("pair", key=("customer_id", "product_id"))
COLUMNS = {"at": "timestamp", "customer_id": "int64", "product_id": "string", "pages": "int64"}
views = Source("views", "views.csv", timestamp="at", schema=COLUMNS)
orders = Source("orders", "orders.csv", timestamp="at", schema=COLUMNS)
affinity = FeatureView("affinity", views, pair, every="1d", features={"times": count(over="30d")})
weekly = snapshots(customer, every="7d", rows=views)


def viewed(every: str = "1d", **features: Any) -> FeatureView:
    seen = {"seen": top_k("product_id", 3, over="30d"), "newest": last("product_id"), "page": last_n("pages", 2)}
    return FeatureView("viewed", views, customer, every=every, features=seen | features)


def next_buy(spine: Any, **how: Any) -> TrainingSet:
    label = Label(count(orders) > 0, ahead="7d")
    return TrainingSet("next_buy", spine=spine, **{"features": [affinity], "label": label} | how)


def schemas_of(*items: Any) -> Schemas:
    return find_schemas(Project.of("shop", items), {}, lambda relation, before: before)


def problems_of(*items: Any) -> list[Problem]:
    return check(Project.of("shop", items), schemas_of(*items))


def test_the_spine_within_is_of_its_own_entities_and_the_rest_of_all() -> None:
    item = next_buy(wildcard(weekly, product, viewed()["seen"]))
    schemas = schemas_of(item)
    assert not problems_of(item)
    spec = training_set_spec(item, schemas, Path(), lambda path: "")
    assert isinstance(spec.spine, WildcardSpine) and isinstance(spec.spine.within, SnapshotsSpine)
    assert (spec.spine.within.keys, spec.spine.keys) == (("customer_id",), ("customer_id", "product_id"))
    assert spec.spine.members.schema.names == ("seen_1", "seen_2", "seen_3")
    assert spec.label.window is not None and spec.label.window.keys == spec.spine.keys
    assert [view.name for view in spec.views] == ["affinity"], "members are no feature of a model"
    keys = Field("customer_id", DataType.INT64), Field("product_id", DataType.STRING)
    assert key_fields(item, schemas, spec) == keys
    assert in_words(item).startswith("Every customer, every 7d, with each product among the seen of viewed.")


def test_rows_carry_their_columns_along() -> None:
    item = next_buy(wildcard(rows(orders, customer, columns="pages"), product, viewed()["seen"]), features=["pages"])
    assert not problems_of(item)
    assert item.carried == ("pages",)


def test_a_change_of_the_members_reaches_what_is_trained_and_served() -> None:
    item = next_buy(wildcard(weekly, product, viewed()["seen"]))
    more = next_buy(wildcard(weekly, product, viewed(seen=top_k("product_id", 4, over="30d"))["seen"]))
    none = next_buy(rows(orders, customer, product))
    assert len({lineage(one) for one in (item, more, none)}) == 3
    assert lineage(item) == lineage(next_buy(wildcard(weekly, product, viewed()["seen"])))
    assert "training_set:next_buy" in downstream(Project.of("shop", [item]))["feature_view:viewed"]


def test_an_endpoint_needs_its_members_online() -> None:
    def endpoint(every: str) -> Endpoint:
        train = model("buys", next_buy(wildcard(weekly, product, viewed(every)["seen"])), metric="roc_auc")(_train)
        return Endpoint("buys", train)

    found = endpoint("1d")
    schemas = schemas_of(found)
    spec = endpoint_spec(found, training_set_spec(found.model.training_set, schemas, Path(), lambda path: ""), schemas)
    assert spec.members is not None and spec.keys[-1].name == "product_id"
    told = [problem for problem in problems_of(endpoint("0s")) if problem.code == "view-continuous"]
    assert told and "viewed" in told[0].found


def test_who_takes_deprecated_features_for_members_is_told() -> None:
    old = viewed(seen=top_k("product_id", 2).about(deprecated="use bought"))
    told = warnings(Project.of("shop", [next_buy(wildcard(weekly, product, old["seen"]))]))
    assert {(one.subject, one.mend) for one in told} == {("training_set:next_buy", "use bought")}


MISTAKES = [
    (wildcard(weekly, pair, viewed()["seen"]), "key-invalid", "customer_id, product_id", "one key column"),
    (wildcard(weekly, pair, viewed()["seen"]), "key-repeated", "'customer_id'", "a key of its own"),
    (wildcard(weekly, product, viewed()["newest"]), "members-unranked", "newest of feature_view:viewed", "top_k"),
    (wildcard(weekly, product, viewed()["sene"]), "feature-unknown", "'sene'", "feature_view:viewed"),
    (wildcard(weekly, product, affinity["times"]), "key-missing", "product_id", "'pair'"),
    (wildcard(snapshots(customer, every="0s", rows=views), product, viewed()["seen"]), "window-empty", "0s", "7d"),
]


@pytest.mark.parametrize(("spine", "code", "found", "expected"), MISTAKES, ids=[mistake[1] for mistake in MISTAKES])
def test_mistakes(spine: Any, code: str, found: str, expected: str) -> None:
    told = [problem for problem in problems_of(next_buy(spine)) if problem.code == code]
    assert told and told[0].subject == "training_set:next_buy" and told[0].place is not None
    assert found in told[0].found and expected in told[0].expected


def test_members_are_of_the_keys_type() -> None:
    (told,) = problems_of(next_buy(wildcard(weekly, product, viewed().select("seen", "page"))))
    assert (told.subject, told.code) == ("entity:product", "type-clash")
    assert "int64 in feature_view:viewed" in told.found and "string in" in told.found


def test_a_wildcard_stands_over_no_other() -> None:
    with pytest.raises(
        DefinitionError, match=r"(?s)within is Wildcard.*expected  snapshots\(...\) or rows\(...\) or table\(...\)"
    ):
        wildcard(wildcard(weekly, product, viewed()["seen"]), pair, viewed()["seen"])  # type: ignore[arg-type]


def _train(data: Any, params: Any) -> Any:
    return data
