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
NAMES = (
    "from inseam import (Endpoint",
    "from inseam import (approx_distinct, approx_quantile, difference, last_n, ratio, time_since_last, top_k, Endpoint",
)


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


@pytest.mark.parametrize("label", ["time_since_last() > 5", 'last_n("amount", 2, orders) > 1'])
def test_a_label_is_an_aggregate_of_rows(shop, label: str):
    (problem,) = problems_of(shop(NAMES, ("count(orders) == 0", label)))
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


def test_several_newest_or_most_frequent_are_features_of_their_own(spend):
    project = spend('"store": last_n("store_id", 2, over="30d").about(owner="ann")', '"often": top_k("store_id", 1)')
    assert problems_of(project) == []
    (view,) = [v for v in project.declarations if str(v.ref) == "feature_view:spend"]
    assert view.names[3:] == ("store_1", "store_2", "often_1")
    assert view["store"].features == ("store_1", "store_2")
    assert view.select("spend_30d", "often").features == ("spend_30d", "often_1")
    assert view.features["store_2"].noted.owner == "ann"
    specs = view_spec(view, find_schemas(project, {}, None)).aggregates[3:]
    assert [(s.name, s.kind.value, s.rank, s.type.value) for s in specs] == [
        ("store_1", "last_n", 1, "string"),
        ("store_2", "last_n", 2, "string"),
        ("often_1", "top_k", 1, "string"),
    ]
    assert feature_in_words(view, "store_2") == "store_id of the newest row, number 2 in the last 30d, of orders"


@pytest.mark.parametrize(
    ("line", "code", "found"),
    [
        ('"store": last_n("store_id", 0)', "count-invalid", "last_n of 0"),
        ('"store": top_k("store_id", 65)', "count-invalid", "top_k of 65"),
        ('"store": last_n("store_id", 2), "store_2": count()', "name-duplicate", "makes store_1"),
        ('"store": top_k("amount", 1)', "type-clash", "top_k of 'amount', a float64"),
        ('"store": approx_quantile("store_id", 0.5)', "type-clash", "a string"),
        ('"store": approx_quantile("amount", 1.5)', "quantile-invalid", "1.5"),
        ('"store": approx_distinct("stor_id")', "column-unknown", "'stor_id'"),
    ],
)
def test_a_mistake_in_one_of_them_is_told(spend, line: str, code: str, found: str):
    (problem,) = problems_of(spend(line))
    assert (problem.code, problem.subject) == (code, "feature_view:spend")
    assert found in problem.found


def test_what_an_entity_without_rows_reads(spend):
    """Counts are 0 over no row, and so is what is left when one is taken from another; all else is NULL."""
    project = spend(
        '"more": difference("orders_30d", "orders_30d")',
        '"left": difference("spend_30d", "orders_30d")',
        '"share": ratio("orders_30d", "orders_30d")',
        '"stores": approx_distinct("store_id")',
        '"idle": time_since_last()',
    )
    (view,) = [v for v in project.declarations if str(v.ref) == "feature_view:spend"]
    specs = view_spec(view, find_schemas(project, {}, None)).aggregates
    assert [spec.name for spec in specs if spec.is_zero_over_nothing] == ["orders_30d", "more", "stores"]
