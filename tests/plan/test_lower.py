"""Declarations to specs: types known, durations in microseconds, columns in order."""

from pathlib import Path

import pytest

from inseam.define.endpoint import Endpoint
from inseam.define.feature_view import FeatureView
from inseam.define.model import Model
from inseam.define.project import Project
from inseam.define.source import Source
from inseam.define.training_set import TrainingSet
from inseam.ir.relation import SqlTransform
from inseam.ir.spine import RowsSpine, SnapshotsSpine, TableSpine
from inseam.ir.training import Task, TrainingSetSpec
from inseam.kernel.clock import DAY, HOUR, MINUTE, Step
from inseam.kernel.errors import NotFoundError
from inseam.kernel.types import DataType, Field, Schema
from inseam.plan import lower
from inseam.plan.schemas import Schemas, find_schemas

FILE = Schema.of([("customer_id", "int64"), ("asked_at", "timestamp"), ("basket", "float64"), ("bought", "string")])


def lowered(project: Project, name: str) -> tuple[TrainingSetSpec, Schemas]:
    schemas = find_schemas(project, {}, lambda relation, before: before, read=lambda path: FILE)
    item = project.get(TrainingSet, name)
    return lower.training_set_spec(item, schemas, Path("/project"), lambda path: "digest"), schemas


def test_a_view_keeps_order_types_windows_and_ttl(shop):
    project = shop(('every="1d", features', 'every="1d", ttl="700d", features'), ('over="30d"),', "),"))
    spec = lower.view_spec(project.get(FeatureView, "spend"), lowered(project, "will_lapse")[1])
    assert [(a.name, a.type.value, a.over) for a in spec.aggregates] == [
        ("orders_30d", "int64", 700 * DAY),
        ("spend_30d", "float64", 30 * DAY),
        ("last_store", "string", 365 * DAY),
    ]
    assert spec.aggregates[1].where == "amount > 0"
    assert (spec.step, spec.lag, spec.keys) == (Step(DAY), 0, ("customer_id",))
    assert spec.relation.table == "sources/orders"
    browsing = lower.view_spec(project.get(FeatureView, "browsing"), lowered(project, "will_lapse")[1])
    assert (browsing.step, browsing.lag) == (Step(HOUR), 10 * MINUTE)


def test_a_training_set_on_a_grid(shop):
    spec, _ = lowered(shop(), "will_lapse")
    assert isinstance(spec.spine, SnapshotsSpine)
    assert (spec.spine.step, spec.spine.active, spec.spine.keys) == (Step(7 * DAY), 180 * DAY, ("customer_id",))
    assert spec.spine.relation.table == "sources/orders"
    names = ["orders_30d", "spend_30d", "last_store", "pages_7d", "keenness"]
    assert [field.name for field in spec.features] == names
    assert [field.type.value for field in spec.features] == ["int64", "float64", "string", "float64", "float64"]
    assert (spec.label.type, spec.label.compare, spec.label.threshold) == (DataType.BOOL, "==", 0)
    assert spec.label.ahead == 60 * DAY
    assert spec.label.window is not None
    assert spec.label.window.keys == ("customer_id",)


def test_a_training_set_on_rows_carries_columns_and_computes_what_on_demand_features_read(shop):
    spec, _ = lowered(shop(), "amounts")
    assert isinstance(spec.spine, RowsSpine)
    assert spec.spine.columns == ("amount", "basket")
    assert [field.name for field in spec.features] == ["orders_30d", "basket_ratio"]
    assert [(view.name, [a.name for a in view.aggregates]) for view in spec.views] == [
        ("spend", ["orders_30d", "spend_30d"]),
        ("browsing", ["pages_7d"]),
    ]
    keenness, ratio = spec.on_demand
    assert [f.name for f in keenness.features] == ["pages_7d", "spend_30d"]
    assert keenness.takes_event_time
    assert [f.name for f in ratio.features] == ["spend_30d", "keenness"]
    assert ratio.inputs == (Field("basket", DataType.FLOAT64),)
    assert (spec.label.column, spec.label.type, spec.label.ahead) == ("amount", DataType.FLOAT64, 0)
    assert spec.split.test == 30 * DAY


TABLE = (
    'rows(orders, customer, columns=["amount", "basket"])',
    'table("asked.csv", customer, timestamp="asked_at", columns=["basket", "bought"])',
)


def test_a_training_set_on_a_file_of_the_user(shop):
    project = shop(TABLE, ('Label(column="amount")', 'Label(column="bought")'), ('"rmse"', '"accuracy"'))
    spec, schemas = lowered(project, "amounts")
    assert spec.spine == TableSpine("/project/asked.csv", "digest", ("customer_id",), "asked_at", FILE)
    assert spec.label.type is DataType.STRING
    assert lower.model_spec(project.get(Model, "amount"), spec, schemas).task is Task.MULTICLASS


@pytest.mark.parametrize(
    ("label", "task"),
    [
        ("count(orders) == 0", Task.BINARY),
        ("count(orders)", Task.REGRESSION),
        ('sum("amount", orders)', Task.REGRESSION),
        ('last("paid", orders)', Task.BINARY),
        ('last("store_id", orders)', Task.MULTICLASS),
    ],
)
def test_the_task_follows_from_the_label(shop, label: str, task: Task):
    project = shop(("count(orders) == 0", label))
    spec, schemas = lowered(project, "will_lapse")
    model = project.get(Model, "lapse")
    assert lower.task_of(model, schemas) is task
    assert lower.model_spec(model, spec, schemas).task is task


def test_a_declared_task_wins(shop):
    project = shop(('metric="rmse")', 'metric="accuracy", task="multiclass")'))
    assert lower.task_of(project.get(Model, "amount"), Schemas({})) is Task.MULTICLASS


def test_an_endpoint_asks_for_keys_and_for_what_no_view_computes(shop):
    project = shop(("lapse = Endpoint", 'asked = Endpoint("asked", fit)\nlapse = Endpoint'))
    spec, schemas = lowered(project, "amounts")
    endpoint = lower.endpoint_spec(project.get(Endpoint, "asked"), spec, schemas)
    assert endpoint.keys == (Field("customer_id", DataType.INT64),)
    assert endpoint.inputs == (Field("basket", DataType.FLOAT64),)
    spec, schemas = lowered(project, "will_lapse")
    endpoint = lower.endpoint_spec(project.get(Endpoint, "lapse"), spec, schemas)
    assert endpoint.inputs == ()
    assert (endpoint.unknown, endpoint.defaults, endpoint.max_staleness) == ("default", {"orders_30d": 0}, 2 * DAY)
    assert endpoint.features == spec.features


def test_carried_columns_that_are_features_are_asked_for(shop):
    changes = [
        ("basket_ratio], label", 'basket_ratio, "quantity"], label'),
        ('"amount", "basket"', '"amount", "quantity", "basket"'),
    ]
    project = shop(*changes, ("lapse = Endpoint", 'asked = Endpoint("asked", fit)\nlapse = Endpoint'))
    spec, schemas = lowered(project, "amounts")
    endpoint = lower.endpoint_spec(project.get(Endpoint, "asked"), spec, schemas)
    assert [(f.name, f.type.value) for f in endpoint.inputs] == [("basket", "float64"), ("quantity", "int64")]


def test_columns_that_are_not_known_yet_are_asked_for_with_the_mend(shop):
    project = shop()
    for lowering in (
        lambda: lower.view_spec(project.get(FeatureView, "spend"), Schemas({})),
        lambda: lower.training_set_spec(project.get(TrainingSet, "amounts"), Schemas({}), Path(), lambda path: None),
    ):
        with pytest.raises(NotFoundError, match="inseam ingest"):
            lowering()


def test_a_transform_rides_along(shop):
    project = shop(('"spend", orders', '"spend", paid'))
    spec = lower.view_spec(project.get(FeatureView, "spend"), lowered(project, "will_lapse")[1])
    assert spec.relation.transform == SqlTransform("SELECT * FROM orders WHERE paid")
    assert spec.relation.table == "sources/orders"


def test_a_source_is_read_below_the_project(shop):
    spec = lower.source_spec(shop().get(Source, "orders"), Path("/project"))
    assert spec.location == "/project/data/orders.csv"
    assert [check.name for check in spec.checks] == ["amount >= 0", "not_null(customer_id)"]
    assert spec.schema is not None
    assert spec.schema.type_of("amount") is DataType.FLOAT64
