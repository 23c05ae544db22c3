"""Derived features: what they may be taken of, what they are lowered to; older definitions keep their fingerprints."""

import pytest

from inseam.define.project import Project
from inseam.ir.aggregates import AggregateKind, AggregateSpec
from inseam.ir.derived import core
from inseam.kernel.clock import DAY
from inseam.kernel.errors import Problem
from inseam.kernel.types import DataType
from inseam.plan.check import check
from inseam.plan.lower import view_spec
from inseam.plan.meaning import own
from inseam.plan.schemas import find_schemas
from inseam.plan.words import feature_in_words

BEFORE = '    "last_store": last("store_id", ttl="365d"),\n'
NAMES = ("from inseam import (Endpoint", "from inseam import (difference, ratio, time_since_last, Endpoint")


@pytest.fixture
def spend(shop):
    """The shop whose view `spend` has more features."""
    return lambda *lines: shop(NAMES, (BEFORE, BEFORE + "".join(f"    {line},\n" for line in lines)))


def problems_of(project: Project) -> list[Problem]:
    return check(project, find_schemas(project, {}, lambda relation, before: before))


@pytest.mark.parametrize(
    ("line", "code", "found", "mend"),
    [
        ('"r": ratio("spend_30", "orders_30d")', "feature-unknown", "'spend_30'", "'spend_30d'"),
        ('"r": ratio("r", "orders_30d")', "feature-unknown", "'r'", "declare 'r' first"),
        ('"r": difference("spend_30d", "last_store")', "type-clash", "'last_store', a string", ""),
        ('"r": time_since_last(where="amont > 1")', "column-unknown", "'amont'", "'amount'"),
        ('"r": time_since_last(over="36h")', "window-not-multiple", "36h", "divisor"),
    ],
)
def test_a_mistake_in_a_derived_feature_is_told(spend, line: str, code: str, found: str, mend: str):
    (problem,) = problems_of(spend(line))
    assert (problem.code, problem.subject) == (code, "feature_view:spend")
    assert found in problem.found
    assert mend in problem.mend
    assert problem.place is not None


def test_a_label_is_an_aggregate_of_rows(shop):
    (problem,) = problems_of(shop(NAMES, ("count(orders) == 0", "time_since_last() > 5")))
    assert problem.code == "label-derived"


def test_they_are_lowered_to_what_they_are_computed_from(spend):
    project = spend(
        '"r": ratio("spend_30d", "orders_30d")', '"g": difference("r", "spend_30d")', '"q": time_since_last()'
    )
    assert problems_of(project) == []
    schemas = find_schemas(project, {}, None)
    (view,) = [v for v in project.declarations if str(v.ref) == "feature_view:spend"]
    lowered = view_spec(view, schemas)
    newest = AggregateSpec("_part_3", AggregateKind.MAX, DataType.TIMESTAMP, "ordered_at")
    assert [spec.type for spec in lowered.aggregates[-3:]] == [DataType.FLOAT64] * 3
    assert core(lowered).aggregates == (*lowered.aggregates[:3], newest)
    alone = core(lowered.only(("g",))).aggregates
    assert [(spec.name, spec.kind.value, spec.over) for spec in alone] == [
        ("_part_0", "sum", 30 * DAY),
        ("_part_1", "count", 30 * DAY),
    ]
    assert feature_in_words(view, "r") == "spend_30d to orders_30d, of orders"
    assert feature_in_words(view, "q") == "seconds since the newest row, of orders"


def test_definitions_from_before_keep_their_fingerprints(shop):
    (view,) = [v for v in shop().declarations if str(v.ref) == "feature_view:spend"]
    assert own(view) == "31da63b0f070e6ed05e604338a46820b"
