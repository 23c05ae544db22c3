"""A view's default entity as declared: what it means, and which mistakes it can have."""

from __future__ import annotations

from typing import Any

import pytest

from inseam import Entity, FeatureView, Source, count
from inseam.define.project import Project
from inseam.plan.check import check
from inseam.plan.meaning import lineage
from inseam.plan.schemas import find_schemas
from inseam.plan.views import view_spec
from inseam.plan.words import in_words

SCHEMA = {"at": "timestamp", "customer_id": "int64", "store": "string", "seen": "date"}
orders = Source("orders", "orders.csv", timestamp="at", schema=SCHEMA, stream=True)
customer = Entity("customer", key="customer_id")
place = Entity("place", key=("customer_id", "store"))


def view(entity: Entity = customer, **how: Any) -> FeatureView:
    return FeatureView("spend", orders, entity, every="1d", features={"n": count(over="30d")}, **how)


def test_it_is_part_of_what_a_view_means() -> None:
    project = Project.of("shop", [view(default=0)])
    schemas = find_schemas(project, {}, lambda relation, before: before)
    assert not check(project, schemas)
    assert view_spec(view(default=0), schemas).default == (0,) == view(default=(0,)).default_key
    assert view_spec(view(), schemas).default is None
    assert len({lineage(view()), lineage(view(default=0)), lineage(view(default=1))}) == 3
    assert lineage(view(default=0)) == lineage(view(default=[0]))
    assert in_words(view(default=0)).endswith("One without rows has those of 0.")


def test_a_view_with_a_default_is_materialized() -> None:
    assert view().is_fresh and not view(default=0).is_fresh


MISTAKES = [
    (view(default="guest"), "type-clash", "'customer_id' by 'guest'", "int64"),
    (view(default=True), "type-clash", "'customer_id' by True", "int64"),
    (view(place, default=0), "default-misfits", "(0,)", "customer_id, store"),
    (view(place, default=(0, 1)), "type-clash", "'store' by 1", "string"),
    (view(Entity("day", key="seen"), default="2024-01-01"), "type-clash", "'seen'", "int64, string, bool"),
]


@pytest.mark.parametrize(("item", "code", "found", "expected"), MISTAKES, ids=lambda value: str(value)[:24])
def test_mistakes(item: FeatureView, code: str, found: str, expected: str) -> None:
    project = Project.of("shop", [item])
    told = check(project, find_schemas(project, {}, lambda relation, before: before))
    assert [problem.code for problem in told] == [code]
    assert found in told[0].found and expected in told[0].expected
