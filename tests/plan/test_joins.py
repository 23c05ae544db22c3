"""Joins as declared: what they mean, which mistakes they can have, and what a change of them reaches."""

from __future__ import annotations

from typing import Any

import pytest

from inseam import Entity, FeatureView, Join, Source, Transform, last, mean
from inseam.define.project import Project
from inseam.kernel.errors import DefinitionError, Problem
from inseam.kernel.types import DataType
from inseam.plan.check import check
from inseam.plan.deprecation import warnings
from inseam.plan.meaning import lineage
from inseam.plan.schemas import find_schemas
from inseam.plan.views import relation_of

customer = Entity("customer", key="customer_id")
product = Entity("product", key="product_id")
LINES = {"at": "timestamp", "customer_id": "int64", "item": "string", "paid": "float64"}
lines = Source("lines", "lines.csv", timestamp="at", schema=LINES, stream=True)
prices = Source("prices", "prices.csv", timestamp="at",
                schema={"at": "timestamp", "product_id": "string", "amount": "float64"})  # fmt: skip
price = FeatureView("price", prices, product, every="1h", features={"paid": last("amount"), "usual": mean("amount")})


def joined(name: str = "priced", features: Any = price, **how: Any) -> Join:
    return Join(name, lines, features, **{"on": {"product_id": "item"}, "prefix": "list_"} | how)


def problems_of(*items: Any) -> list[Problem]:
    project = Project.of("shop", items)
    return check(project, find_schemas(project, {}, lambda relation, before: before))


def buyer(rows: Any) -> FeatureView:
    return FeatureView("buyer", rows, customer, every="1d", features={"usual": mean("list_usual", over="30d")})


def test_what_is_joined_are_columns_of_the_rows_before_they_are_reshaped() -> None:
    again = Join("again", joined(), price["usual"], on={"product_id": "item"}, prefix="more_")
    reshaped = Transform("reshaped", again, sql="SELECT * FROM lines")
    view = buyer(reshaped)
    schemas = find_schemas(Project.of("shop", [view]), {}, lambda relation, before: before)
    assert not check(Project.of("shop", [view]), schemas)
    relation = relation_of(reshaped, schemas)
    assert relation.table == "sources/lines" and relation.timestamp == "at"
    assert list(relation.schema.names) == [*LINES, "list_paid", "list_usual", "more_usual"]
    assert relation.schema.type_of("more_usual") is DataType.FLOAT64
    assert [join.view.schema.names for join in relation.joins] == [("paid", "usual"), ("usual",)]
    assert {one.table for one in relation.reads()} == {"sources/lines", "sources/prices"}
    assert [len(relation_of(again, schemas).asked(names).joins) for names in (["at"], ["more_usual"])] == [0, 1]


def test_views_over_joined_rows_are_materialized() -> None:
    assert FeatureView("plain", lines, customer, every="1d", features={"n": mean("paid", over="1d")}).is_fresh
    assert not buyer(joined()).is_fresh


def test_a_change_of_what_is_joined_reaches_whatever_reads_the_rows() -> None:
    other = FeatureView(
        "price", prices, product, every="1d", features={"paid": last("amount"), "usual": mean("amount")}
    )
    assert lineage(buyer(joined())) == lineage(buyer(joined()))
    changed = [joined(features=other), joined(prefix="list"), joined(on={"product_id": "paid"}), joined("other")]
    assert len({lineage(buyer(rows)) for rows in (joined(), *changed)}) == 5


MISTAKES = [
    (joined(on={"product_id": "itme"}), "column-unknown", "'itme'", "'item'"),
    (joined(on={}), "column-unknown", "'product_id'", ""),
    (joined(on={"product_id": "paid"}), "type-clash", "'paid' is a float64", ""),
    (joined(on={"product": "item"}), "key-unknown", "'product'", ""),
    (joined(prefix=""), "name-duplicate", "'paid'", 'prefix="product_"'),
    (joined(prefix="List "), "name-invalid", "'List '", ""),
    (joined(features=price["usul"]), "feature-unknown", "'usul'", "'usual'"),
    (
        Join("late", Transform("cut", lines, sql="SELECT * FROM lines"), price),
        "transform-nested",
        "transform:cut",
        "lines",
    ),
    (Transform("moved", joined(), sql="SELECT * FROM lines", timestamp="sent"), "timestamp-moved", "'sent'", ""),
]


@pytest.mark.parametrize(("item", "code", "found", "mend"), MISTAKES, ids=lambda value: str(value)[:24])
def test_mistakes(item: Any, code: str, found: str, mend: str) -> None:
    told = [problem for problem in problems_of(item) if problem.code == code]
    assert told and told[0].subject == str(item.ref)
    assert found in told[0].found and mend in told[0].mend


def test_rows_and_features_are_of_their_kinds() -> None:
    with pytest.raises(DefinitionError, match=r"rows is .*feature_view:price"):
        Join("wrong", price, price)  # type: ignore[arg-type]


def test_who_joins_what_is_deprecated_is_told() -> None:
    features = {"paid": last("amount").about(deprecated="use usual"), "usual": mean("amount")}
    old = FeatureView("price", prices, product, every="1h", features=features)
    told = warnings(Project.of("shop", [joined(features=old)]))
    assert [(one.subject, one.mend) for one in told] == [("join:priced", "use usual")]
    assert not warnings(Project.of("shop", [joined(features=old["usual"])]))
