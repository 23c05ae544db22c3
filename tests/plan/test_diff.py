"""Plans: what was created, changed, altered and removed, in which fields, and how far it reaches."""

from dataclasses import replace

import msgspec
import pytest

from inseam.define.project import Project
from inseam.ir.records import DefinitionRecord
from inseam.plan.diff import Change, DefinitionChange, Plan, Work, compare, downstream, record_of, removed_sources


def applied(project: Project) -> list[DefinitionRecord]:
    """What the ledger holds once the project was applied: meanings come back from JSON."""
    records = [record_of(item, 0) for item in project.declarations]
    return [replace(r, meaning=msgspec.json.decode(msgspec.json.encode(r.meaning))) for r in records]


def changes(before: Project, after: Project) -> dict[str, DefinitionChange]:
    return {change.ref: change for change in compare(after, applied(before))}


def test_at_first_everything_is_created(shop):
    project = shop()
    found = compare(project, [])
    assert {c.change for c in found} == {Change.CREATED}
    assert [c.ref for c in found] == [str(item.ref) for item in project.declarations]


def test_applied_again_nothing_changes(shop):
    found = changes(shop(), shop())
    assert {c.change for c in found.values()} == {Change.UNCHANGED}
    assert not Plan("shop", "0", tuple(found.values())).has_changes


def test_a_window_reaches_everything_that_is_made_from_it_and_nothing_else(shop):
    found = changes(shop(), shop(('over="30d", where', 'over="60d", where')))
    spend = found["feature_view:spend"]
    assert spend.change is Change.CHANGED
    assert spend.fields == ("features.spend_30d.over",)
    assert spend.place.endswith("shop.py:19")
    assert spend.recompute
    altered = {ref for ref, c in found.items() if c.change is Change.ALTERED}
    assert altered == set(spend.reaches)
    assert altered == {
        "on_demand:keenness",
        "on_demand:basket_ratio",
        "training_set:will_lapse",
        "training_set:amounts",
        "model:lapse",
        "model:amount",
        "endpoint:lapse",
    }
    assert {c.because for ref, c in found.items() if ref in altered} == {("feature_view:spend",)}


@pytest.mark.parametrize(
    ("before", "after", "ref", "fields"),
    [
        ('where="amount > 0"', 'where="amount > 1"', "feature_view:spend", ("features.spend_30d.where",)),
        ('last("store_id"', 'first("store_id"', "feature_view:spend", ("features.last_store.kind",)),
        (
            '"last_store": last',
            '"store": last',
            "feature_view:spend",
            ("features.last_store", "features.store", "order"),
        ),
        ('"pages": "int64"', '"pages": "float64"', "source:visits", ("schema.pages",)),
        ("(spend_30d + 1)", "(spend_30d + 2)", "on_demand:keenness", ("function",)),
        ('ahead="60d"', 'ahead="30d"', "training_set:will_lapse", ("label.ahead",)),
        ("count(orders) == 0", "count(orders) == 1", "training_set:will_lapse", ("label.value.threshold",)),
        ('active="180d"', 'active="90d"', "training_set:will_lapse", ("spine.active",)),
        (
            'snapshots(customer, every="7d", active="180d")',
            "rows(orders, customer)",
            "training_set:will_lapse",
            ("spine",),
        ),
        ("trials=3", "trials=4", "model:lapse", ("tune.trials",)),
        ('metric="rmse")', 'metric="rmse", params={"a": 1})', "model:amount", ("params.a",)),
    ],
)
def test_the_fields_that_changed_are_named(shop, before: str, after: str, ref: str, fields: tuple[str, ...]):
    found = changes(shop(), shop((before, after)))
    assert found[ref].fields == fields
    assert [r for r, c in found.items() if c.change is Change.CHANGED] == [ref]


def test_a_changed_definition_names_the_changes_above_it_too(shop):
    found = changes(shop(), shop(('over="30d", where', 'over="60d", where'), ('ahead="60d"', 'ahead="30d"')))
    assert found["training_set:will_lapse"].change is Change.CHANGED
    assert found["training_set:will_lapse"].because == ("feature_view:spend",)
    assert set(found["model:lapse"].because) == {"training_set:will_lapse", "feature_view:spend"}


def test_both_arms_of_a_diamond_end_in_one_place(shop):
    """basket_ratio reads spend directly and through keenness; amounts reads both."""
    reached = downstream(shop())["feature_view:spend"]
    assert len(reached) == len(set(reached))
    assert reached.index("on_demand:keenness") < reached.index("on_demand:basket_ratio")
    assert reached.index("on_demand:basket_ratio") < reached.index("training_set:amounts")
    assert downstream(shop())["endpoint:lapse"] == ()


def test_what_is_removed_tells_what_was_made_from_it(shop):
    without = (
        ("@on_demand(spend, browsing)", "@on_demand(spend)"),
        ("def keenness(pages_7d: float, spend_30d: float", "def keenness(spend_30d: float"),
        ("return pages_7d / (", "return 1 / ("),
        ("features=[spend, browsing, keenness]", "features=[spend, keenness]"),
        (
            'browsing = FeatureView("browsing", visits, customer, every="1h", lag="10m", features={\n'
            '    "pages_7d": mean("pages", over="7d"),\n})\n',
            "",
        ),
    )
    found = changes(shop(), shop(*without))
    gone = found["feature_view:browsing"]
    assert gone.change is Change.REMOVED
    assert set(gone.reaches) == {
        "on_demand:keenness",
        "on_demand:basket_ratio",
        "training_set:will_lapse",
        "training_set:amounts",
        "model:lapse",
        "model:amount",
        "endpoint:lapse",
    }
    assert found["source:visits"].change is Change.UNCHANGED


def test_a_renamed_source_is_removed_and_created(shop):
    renamed = changes(shop(), shop(('Source("visits"', 'Source("seen"')))
    assert renamed["source:visits"].change is Change.REMOVED
    assert renamed["source:seen"].change is Change.CREATED
    assert renamed["feature_view:browsing"].fields == ("rows.ref",)
    assert removed_sources(renamed.values()) == ("visits",)


def test_a_plan_is_plain_data(shop):
    work = (Work("materialize", "spend", "it has no online rows", 10, bytes=400, entities=5),)
    plan = Plan("shop", "0", compare(shop(), []), work)
    data = msgspec.json.decode(msgspec.json.encode(plan.as_dict()))
    assert data["has_changes"] is True
    assert data["is_empty"] is False
    assert data["changes"][0]["change"] == "created"
    assert data["work"][0] == {
        "verb": "materialize",
        "subject": "spend",
        "reason": "it has no online rows",
        "rows": 10,
        "is_destructive": False,
        "bytes": 400,
        "entities": 5,
        "seconds": None,
    }
    assert len(plan.of(Change.CREATED)) == len(plan.changes)
