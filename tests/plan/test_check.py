"""Every mistake is found, all at once, each with its object, the line, what was found, what was expected, the mend."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from inseam.define.project import Project
from inseam.kernel.errors import DefinitionError, NotFoundError, Problem
from inseam.kernel.types import Schema
from inseam.plan.check import check, require
from inseam.plan.schemas import find_schemas

SPEND, SET, AMOUNTS, LAPSE = "feature_view:spend", "training_set:will_lapse", "training_set:amounts", "model:lapse"


def problems_of(project: Project) -> list[Problem]:
    return check(project, find_schemas(project, {}, lambda relation, before: before))


def test_a_right_project_has_no_problems(shop):
    project = shop()
    assert problems_of(project) == []
    require(project, find_schemas(project, {}, None))


# what is written instead of what; the code, the object, words of what is found, words of the mend
MISTAKES = [
    # unknown columns, wherever a column is named
    ('sum("amount", over', 'sum("amont", over', "column-unknown", SPEND, "'amont'", "'amount'"),
    ('where="amount > 0"', 'where="amont > 0"', "column-unknown", SPEND, "'amont'", "'amount'"),
    ('"visits", "data/visits.csv", timestamp="at"', '"visits", "v.csv", timestamp="att"', "column-unknown",
     "source:visits", "'att'", "'at'"),
    ('key="customer_id")', 'key="custmer_id")', "column-unknown", SPEND, "'custmer_id'", "'customer_id'"),
    ('key="customer_id")', 'key="custmer_id")', "column-unknown", SET, "label's key reads", "'customer_id'"),
    ('key="customer_id")', 'key="custmer_id")', "column-unknown", SET, "spine's key reads", "'customer_id'"),
    ('key="customer_id")', 'key="custmer_id")', "column-unknown", AMOUNTS, "the spine reads", "'customer_id'"),
    ("count(orders) == 0", 'sum("amont", orders) == 0', "column-unknown", SET, "'amont'", "'amount'"),
    ("count(orders) == 0", 'count(orders, where="amont > 1") == 0', "column-unknown", SET, "'amont'", "'amount'"),
    ('columns=["amount", "basket"]', 'columns=["amount", "basket", "quantty"]', "column-unknown", AMOUNTS,
     "'quantty'", "'quantity'"),
    ('Label(column="amount")', 'Label(column="amout")', "column-unknown", AMOUNTS, "'amout'", "'amount'"),
    ('"amount >= 0"', '"amont >= 0"', "column-unknown", "source:orders", "'amont'", "'amount'"),
    ('not_null("customer_id")', 'not_null("custmer")', "column-unknown", "source:orders", "'custmer'", "customer_id"),
    ('    checks=["am', '    key="order_id", checks=["am', "column-unknown", "source:orders", "'order_id'", ""),
    ('    checks=["am', '    rename={"Sum": "amnt"}, checks=["am', "column-unknown", "source:orders", "'amnt'",
     "'amount'"),
    ('slices=["last_store"]', 'slices=["last_shop"]', "column-unknown", LAPSE, "'last_shop'", "'last_store'"),
    ("beats_champion()]", 'slice_gap("last_shop", 0.1)]', "column-unknown", LAPSE, "'last_shop'", "'last_store'"),
    # how a source is read
    ('"data/visits.csv", timestamp', '"v", format="xlsx", timestamp', "choice-invalid", "source:visits", "'xlsx'", ""),
    ('"data/visits.csv", timestamp', '"v", encoding="utf-9", timestamp', "encoding-unknown", "source:visits", "9'", ""),
    ('"data/visits.csv", timestamp', '"v", delimiter=";;", timestamp', "delimiter-invalid", "source:visits", ";;", ""),
    ('"data/visits.csv", timestamp', '"v", timestamp_formats="%Q", timestamp', "format-invalid", "source:visits", "%Q",
     ""),
    ('"data/visits.csv", timestamp', '"v", timestamp_formats=["epoch_s", "epoch_ms"], timestamp', "format-unclear",
     "source:visits", "epoch_s or epoch_ms", "one unit"),
    ('"data/visits.csv", timestamp', '"v", decimal="comma", timestamp', "choice-invalid", "source:visits", "comma", ""),
    ('"data/visits.csv", timestamp', "5, timestamp", "type-wrong", "source:visits", "location is 5", ""),
    ('"data/visits.csv", timestamp', '"v", rename={"s": "_seq"}, timestamp', "name-reserved", "source:visits", "_seq",
     "rename"),
    ('"data/visits.csv", timestamp', '"v", key="at", on_duplicate="drop", timestamp', "choice-invalid", "source:visits",
     "'drop'", ""),
    ('"data/visits.csv", timestamp', '"v", on_duplicate="ignore", timestamp', "key-missing", "source:visits",
     "'ignore'", "key="),
    ('"data/visits.csv", timestamp', '"v", key="at", deleted="pages = 0", timestamp', "choice-unclear",
     "source:visits", "pages = 0", "replace"),
    ('"data/visits.csv", timestamp', 'key="at", on_duplicate="replace", stream=True, timestamp', "choice-unclear",
     "source:visits", "pushed", "stream"),
    ('"data/visits.csv", timestamp', '"v", key="at", on_duplicate="replace", deleted="gone", timestamp',
     "column-unknown", "source:visits", "'gone'", ""),
    # unknown references
    ('spend["orders_30d"]', 'spend["orders_3d"]', "feature-unknown", AMOUNTS, "'orders_3d'", "'orders_30d'"),
    ("basket_ratio], label", 'basket_ratio, "baskt"], label', "feature-unknown", AMOUNTS, "'baskt'", "'basket'"),
    ('defaults={"orders_30d"', 'defaults={"orders_3d"', "feature-unknown", "endpoint:lapse", "'orders_3d'",
     "'orders_30d'"),
    ("def keenness(pages_7d", "def keenness(pages_d", "input-missing", SET, "'pages_d'", "'pages_7d'"),
    ('columns=["amount", "basket"]', 'columns=["amount"]', "input-missing", AMOUNTS, "'basket'", "columns="),
    ('metric="roc_auc", gates', 'metric="roc_au", gates', "metric-unknown", LAPSE, "'roc_au'", "'roc_auc'"),
    ('at_least("roc_auc"', 'at_least("roc_au"', "metric-unknown", LAPSE, "'roc_au'", "'roc_auc'"),
    ("rows(orders, customer,", "rows(orders, store,", "key-missing", AMOUNTS, "customer_id", ""),
    ("rows(orders, customer,", "rows(orders,", "key-missing", AMOUNTS, "no entity", "rows(orders, customer)"),
    ('schema={"at": "timestamp"', 'timezone="Berlin", schema={"at": "timestamp"', "timezone-unknown",
     "source:visits", "'Berlin'", ""),
    # duplicate names
    ('"browsing", visits', '"spend", visits', "name-duplicate", SPEND, "shop.py:", "rename"),
    ('Source("visits"', 'Source("orders"', "name-duplicate", "source:orders", "shop.py:", "rename"),
    ('"pages_7d": mean', '"spend_30d": mean', "feature-duplicate", SET, "'spend_30d'", "rename"),
    ('"orders_30d": count', '"customer_id": count', "name-duplicate", SPEND, "'customer_id'", "rename"),
    ('"orders_30d": count', '"label": count', "name-reserved", SPEND, "'label'", "rename"),
    ('"amount", "basket"]', '"amount", "basket", "customer_id"]', "feature-duplicate", AMOUNTS, "'customer_id'",
     "rename"),
    ('    checks=["am', '    rename={"A": "amount", "B": "amount"}, checks=["am', "name-duplicate", "source:orders",
     "'amount'", ""),
    ('key="store_id")', 'key=("store_id", "store_id"))', "key-repeated", "entity:store", "twice", ""),
    # windows
    ('count(over="30d")', 'count(over="36h")', "window-not-multiple", SPEND, "36h", "divisor"),
    ('ttl="365d"', 'ttl="36h"', "window-not-multiple", SPEND, "36h", "divisor"),
    ('every="1d", features', 'every="1d", ttl="36h", features', "window-not-multiple", SPEND, "36h", ""),
    ('count(over="30d")', 'count(over="0s")', "window-empty", SPEND, "0s", ""),
    ('count(over="30d")', 'count(over="30 days")', "duration-invalid", SPEND, "'30 days'", ""),
    ('count(over="30d")', "count(over=30)", "duration-invalid", SPEND, "30", ""),
    ('every="1h"', 'every="hourly"', "duration-invalid", "feature_view:browsing", "'hourly'", ""),
    ('every="1d", features', 'every="36h", timezone="Europe/Berlin", features', "every-not-days", SPEND, "36h", ""),
    ('every="1d", features', 'every="1d", timezone="Mars", features', "timezone-unknown", SPEND, "Mars", ""),
    ('ttl="365d"', 'ttl="365d", over="365d"', "window-unclear", SPEND, "both", ""),
    ('every="7d", active="180d"', 'every="0h", active="180d"', "window-empty", SET, "0h", ""),
    ('active="180d"', 'active="180d", start="2024-02-01", end="2024-01-01"', "window-empty", SET, "2024-02-01", ""),
    ('active="180d"', 'active="180d", start="soon"', "instant-invalid", SET, "'soon'", ""),
    ('active="180d"', 'active="180d", timezone="Mars"', "timezone-unknown", SET, "Mars", ""),
    ('Split(test="30d")', 'Split(test="30d", at="2024-01-01")', "split-invalid", AMOUNTS, "both", ""),
    ('Split(test="30d")', "Split(fraction=20)", "split-invalid", AMOUNTS, "20", ""),
    # labels
    ("count(orders) == 0", 'count(orders, over="60d") == 0', "label-looks-backwards", SET, "60d", "ahead="),
    ("count(orders) == 0", 'last("amount", orders, ttl="60d")', "label-looks-backwards", SET, "last", "ahead="),
    ('ahead="60d"', 'ahead="-60d"', "label-looks-backwards", SET, "-60d", 'ahead="60d"'),
    (', ahead="60d"', "", "ahead-missing", SET, "how far", 'ahead="60d"'),
    ('ahead="60d"', 'ahead="0h"', "window-empty", SET, "no time", ""),
    ("count(orders) == 0", "count() == 0", "rows-missing", SET, "names no rows", "count(orders)"),
    ("count(orders) == 0", "count(orders) == None", "threshold-invalid", SET, "None", ""),
    ('Label(column="amount")', 'Label(column="amount", ahead="60d")', "ahead-unused", AMOUNTS, "60d", ""),
    ('Label(column="amount")', "Label()", "label-unclear", AMOUNTS, "neither", ""),
    ("basket_ratio], label", 'basket_ratio, "amount"], label', "label-leaks", AMOUNTS, "'amount'", "take it out"),
    # types
    ('sum("amount", over', 'sum("store_id", over', "type-clash", SPEND, "a string", ""),
    ('mean("pages"', 'quantile("at", 0.5', "type-clash", "feature_view:browsing", "a timestamp", ""),
    ('where="amount > 0"', 'where="store_id > 0"', "type-clash", SPEND, "compares a text", ""),
    ('where="amount > 0"', 'where="amount"', "type-clash", SPEND, "neither true nor false", ""),
    ('timestamp="ordered_at"', 'timestamp="day"', "type-clash", "source:orders", "a date", ""),
    ('"at": "timestamp", "customer_id": "int64"', '"at": "timestamp", "customer_id": "string"', "type-clash",
     "entity:customer", "string in source:visits", ""),
    ('"pages": "int64"', '"pages": "integer"', "type-unknown", "source:visits", "'integer'", ""),
    ("keenness(pages_7d: float", "keenness(pages_7d: str", "type-clash", "on_demand:keenness", "string", ""),
    ("keenness: float)", "keenness: str)", "type-clash", "on_demand:basket_ratio", "keenness", ""),
    ("basket: float", "basket: str", "type-clash", AMOUNTS, "'basket'", ""),
    ("count(orders) == 0", 'count(orders) == "none"', "type-clash", SET, "'none'", ""),
    ("count(orders) == 0", 'last("ordered_at", orders)', "type-clash", LAPSE, "timestamp", ""),
    ('metric="roc_auc", gates', 'metric="rmse", gates', "metric-unknown", LAPSE, "binary", ""),
    ('metric="rmse")', 'metric="rmse", gates=[at_least("f1", 1)])', "metric-unknown", "model:amount", "'f1'", ""),
    ('metric="rmse")', 'metric="rmse", gates=[calibration(0.1)])', "gate-invalid", "model:amount", "calibration", ""),
    ('{"orders_30d": 0}', '{"orders_30d": "none"}', "type-clash", "endpoint:lapse", "'none'", ""),
    # expressions
    ('where="amount > 0"', 'where="amount >"', "expression-invalid", SPEND, "amount >", ""),
    ('where="amount > 0"', 'where="sum(amount) > 0"', "expression-invalid", SPEND, "beyond the row", ""),
    ('where="amount > 0"', 'where="amount > 0; drop table orders"', "expression-invalid", SPEND, "not one", ""),
    ('where="amount > 0"', "where=5", "type-wrong", SPEND, "sum: where is 5", ""),
    ('where="amount > 0"', 'where="ordered_at > now()"', "expression-unstable", SPEND, "NOW()", "window"),
    # shapes
    ('"spend", orders', '"Spend", orders', "name-invalid", "feature_view:Spend", "'Spend'", ""),
    ('"orders_30d": count', '"Orders": count', "name-invalid", SPEND, "'Orders'", ""),
    ('"orders_30d": count(over="30d")', '"orders_30d": "count"', "type-wrong", SPEND,
     "features['orders_30d'] is 'count'", ""),
    ('"orders_30d": count(over', '"orders_30d": count(visits, over', "feature-has-rows", SPEND, "rows", "count("),
    ('mean("pages"', 'quantile("pages", 1.5', "quantile-invalid", "feature_view:browsing", "1.5", ""),
    ("basket: float, ", "basket, ", "annotation-missing", "on_demand:basket_ratio", "'basket'", ": float"),
    ("keenness: float) -> float", "keenness: float)", "annotation-missing", "on_demand:basket_ratio", "returns", ""),
    ("spend_30d: float, keenness", "*spend_30d, keenness", "parameter-invalid", "on_demand:basket_ratio", "*", ""),
    ("def train(data, params)", "def train(data)", "signature-wrong", LAPSE, "too many", ""),
    ("beats_champion()", "beats_champion(confidence=5)", "gate-invalid", LAPSE, "confidence=5", ""),
    ("beats_champion()", 'no_skew(within="soon")', "gate-invalid", LAPSE, "within=soon", ""),
    ("beats_champion()", "no_skew(1.5)", "gate-invalid", LAPSE, "at_least=1.5", ""),
    ("beats_champion()", "calibration(-1)", "gate-invalid", LAPSE, "at_most=-1", ""),
    ("def train(data", "async def train(data", "function-invalid", LAPSE, "before it is done", ""),
    ("integer(2, 5)", "integer(5, 2)", "tune-invalid", LAPSE, "5 to 2", ""),
    ("integer(2, 5)", "number(0, 2, log=True)", "tune-invalid", LAPSE, "0 to 2", ""),
    ("integer(2, 5)", "5", "type-wrong", LAPSE, "Tune: space['depth'] is 5", ""),
    ('trials=3)', 'trials=3), params={"loss": np.float32(1)}', "value-invalid", LAPSE, "params: loss: float32", ""),
    ('unknown="default"', 'unknown="ignore"', "choice-invalid", "endpoint:lapse", "'ignore'", ""),
    ('unknown="default"', 'unknown="reject"', "defaults-unused", "endpoint:lapse", "'reject'", "default"),
    ('max_staleness="2d"', 'unavailable="wait"', "choice-invalid", "endpoint:lapse", "'wait'", ""),
    ('every="1h"', 'every="0m"', "view-continuous", "endpoint:lapse", "continuously", ""),
    (', sql="SELECT * FROM orders WHERE paid"', "", "transform-unclear", "transform:paid", "neither", ""),
    ('"data/visits.csv", ', "", "location-unclear", "source:visits", "neither", ""),
]  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: f"{m[2]} {m[1][:40]}")
def test_a_mistake_is_found_at_its_line(shop, tmp_path: Path, mistake: tuple[str, ...]):
    before, after, code, subject, found, mend = mistake
    hits = [p for p in problems_of(shop((before, after))) if p.code == code and p.subject == subject]
    problem = next((p for p in hits if found in p.found), None)
    assert problem is not None, hits
    assert mend in problem.mend
    assert problem.expected or problem.mend
    assert problem.place is not None
    assert problem.place.file == str(tmp_path / "shop.py")


def line_of(tmp_path: Path, text: str) -> int:
    lines = (tmp_path / "shop.py").read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        ('"orders", "data/orders.csv"', '"Orders", "data/orders.csv"', "orders = Source("),
        ('sum("amount", over', 'sum("amont", over', 'sum("amont"'),
        ('last("store_id", ttl="365d")', 'last("store_id", ttl="36h")', '"last_store": last'),
        ("basket: float, ", "basket, ", "@on_demand(spend, keenness)"),
        ("def train(data, params)", "def train(data)", '@model("lapse"'),
        ('count(orders) == 0, ahead="60d"', 'sum("amont", orders) == 0, ahead="60d"', 'sum("amont", orders)'),
        ('unknown="default"', 'unknown="x"', "lapse = Endpoint("),
    ],
)
def test_the_line_is_the_one_to_mend(shop, tmp_path: Path, before: str, after: str, line: str):
    problems = problems_of(shop((before, after)))
    assert line_of(tmp_path, line) in [p.place.line for p in problems if p.place]


def test_all_mistakes_are_reported_together_and_each_once(shop):
    project = shop(
        ('count(over="30d")', 'count(over="36h")'),
        ('sum("amount", over', 'sum("amont", over'),
        ("count(orders) == 0", 'count(orders, over="60d") == 0'),
        ('metric="roc_auc", gates', 'metric="rmse", gates'),
        ('"pages": "int64"', '"pages": "integer"'),
        ('unknown="default"', 'unknown="ignore"'),
    )
    with pytest.raises(DefinitionError) as caught:
        require(project, find_schemas(project, {}, None))
    problems = caught.value.problems
    assert {p.code for p in problems} >= {
        "window-not-multiple",
        "column-unknown",
        "label-looks-backwards",
        "metric-unknown",
        "type-unknown",
        "choice-invalid",
    }
    assert len(set(problems)) == len(problems)
    assert caught.value.exit_code == 2
    refs = [str(item.ref) for item in project.declarations]
    assert [refs.index(p.subject) for p in problems] == sorted(refs.index(p.subject) for p in problems)


def test_columns_wait_until_they_are_known(shop):
    """A source without a schema is checked after its first load."""
    changes = [
        ('schema={"ordered_at": "timestamp", "customer_id": "int64", "store_id": "string", "amount": "float64",', ""),
        ('            "quantity": "int64", "paid": "bool", "day": "date", "basket": "float64"},', ""),
        ('sum("amount", over', 'sum("amont", over'),
    ]
    project = shop(*changes)
    assert check(project, find_schemas(project, {}, None)) == []
    held = {"orders": Schema.of([("ordered_at", "timestamp"), ("customer_id", "int64"), ("amount", "float64")])}
    found = {p.found for p in check(project, find_schemas(project, held, None)) if p.code == "column-unknown"}
    assert "feature 'spend_30d' reads column 'amont'" in found
    assert "feature 'last_store' reads column 'store_id'" in found


def test_a_declared_schema_is_held_against_the_one_of_the_table(shop):
    project = shop()
    held = {"visits": Schema.of([("pages", "float64"), ("at", "timestamp"), ("customer_id", "int64")])}
    problems = [p for p in check(project, find_schemas(project, held, None)) if p.code == "schema-changed"]
    assert [p.subject for p in problems] == ["source:visits"]
    assert problems[0].found.endswith("in pages")


def test_what_the_engine_says_of_a_transform_is_reported_with_the_rest(shop):
    def typer(relation, before):
        raise DefinitionError("relation", "it loses the timestamp", expected="ordered_at")

    project = shop(('count(over="30d")', 'count(over="36h")'))
    problems = check(project, find_schemas(project, {}, typer))
    assert {(p.subject, p.found) for p in problems if p.subject == "transform:paid"} == {
        ("transform:paid", "it loses the timestamp")
    }
    assert "window-not-multiple" in {p.code for p in problems}


FILE = Schema.of([("customer_id", "string"), ("asked_at", "string"), ("basket", "string"), ("bought", "float64")])
TABLE = (
    'rows(orders, customer, columns=["amount", "basket"])',
    'table("asked.csv", customer, timestamp="asked", columns=["basket", "bougt"])',
)


def test_columns_of_a_spine_file_are_held_against_it(shop, tmp_path: Path):
    project = shop(TABLE, ('Label(column="amount")', 'Label(column="bougt")'))
    schemas = find_schemas(project, {}, None, read=lambda path: FILE)
    problems = [p for p in check(project, schemas) if p.subject in (AMOUNTS, "entity:customer")]
    assert [(p.subject, p.code, p.mend) for p in problems] == [
        ("entity:customer", "type-clash", ""),
        (AMOUNTS, "column-unknown", "did you mean 'bought'?"),
        (AMOUNTS, "type-clash", ""),
        (AMOUNTS, "column-unknown", "did you mean 'asked_at'?"),
    ]
    assert "string in asked.csv" in problems[0].found
    assert "'basket' as float64, the spine carries string" in problems[2].found
    lines = (tmp_path / "shop.py").read_text().splitlines()
    assert all(p.place is not None and lines[p.place.line - 1].startswith("amounts = ") for p in problems[1:])


def test_the_instant_of_a_spine_file_is_an_instant(shop):
    project = shop((TABLE[0], TABLE[1].replace('"asked"', '"asked_at"')))
    found = [p.found for p in check(project, find_schemas(project, {}, None, read=lambda path: FILE))]
    assert "the spine's timestamp 'asked_at' is a string" in found


def test_a_spine_file_that_cannot_be_read_is_a_mistake_of_its_training_set(shop):
    def read(path: str) -> Schema:
        raise NotFoundError(path, "there is no such file", mend="put it there")

    project = shop(TABLE)
    (problem,) = [p for p in check(project, find_schemas(project, {}, None, read=read)) if p.code == "not-found"]
    assert (problem.subject, problem.found, problem.mend) == (AMOUNTS, "there is no such file", "put it there")
    assert problem.place is not None


def test_what_the_engine_says_of_expressions_is_told_of_each_and_asked_once_when_all_is_well(shop):
    asked = []

    def bind(expressions: Mapping[str, str], schema: Schema) -> Schema:
        asked.append(tuple(expressions.values()))
        if any("abss" in text for text in expressions.values()):
            raise DefinitionError("0", "abss does not exist", mend="abs")
        return Schema.of((name, "bool" if "amount" in text else "int64") for name, text in expressions.items())

    assert check(shop(), find_schemas(shop(), {}, None, bind)) == []
    assert asked == [("amount >= 0", "amount > 0")]
    project = shop(
        ('"amount >= 0"', '"abss(amount) >= 0"'), ("count(orders) == 0", 'count(orders, where="1 = 1") == 0')
    )
    problems = check(project, find_schemas(project, {}, None, bind))
    assert [(p.subject, p.code, p.mend) for p in problems] == [
        ("source:orders", "expression-invalid", "abs"),
        (SET, "type-clash", ""),
    ]


def test_a_project_that_declares_nothing_is_a_mistake():
    (problem,) = check(Project("shop", ()), find_schemas(Project("shop", ()), {}, None))
    assert problem.code == "definitions-missing"
    assert "inseam.toml" in problem.mend
