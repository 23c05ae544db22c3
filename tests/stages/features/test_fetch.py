"""The online read gives the engine's values, bit for bit, each under its row's own boundary."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from online_world import (
    BASKET,
    FINGERPRINT,
    SCHEMA,
    SHOP,
    SPEND,
    VIEWS,
    World,
    assert_online,
    bits,
    orders,
    with_system,
)

from inseam.adapters.lmdb.store import LmdbStore
from inseam.ir.encoding import to_numpy
from inseam.ir.online_row import NO_BOUNDARY, NO_VERSION
from inseam.ir.records import MaterializationRecord
from inseam.kernel.clock import DAY, HOUR, format_instant, frozen_at
from inseam.kernel.errors import ConflictError, DataError, DefinitionError
from inseam.kernel.types import Schema
from inseam.stages.features.fetch import FeatureReader
from inseam.stages.features.mark import Mark

AS_OF = 20 * DAY + 5 * HOUR
KEYS = Schema.of([("customer", "int64"), ("store", "string")])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World.at(tmp_path_factory.mktemp("world"))
    world.load(orders(3000, customers=300, days=30, seed=1))
    for view in VIEWS:
        world.materialize(view, AS_OF)
    return world


@pytest.fixture
def reader(world: World) -> FeatureReader:
    return FeatureReader(world.store, [(view, FINGERPRINT) for view in VIEWS], KEYS)


def nothing(view) -> dict:
    return {a.name: 0 if a.kind in ("count", "distinct") else None for a in view.aggregates}


def test_views_with_keys_of_their_own_are_read_in_one_call(world: World, reader: FeatureReader):
    entities = [(customer, store) for store, customer in world.entities(BASKET, BASKET.boundary(AS_OF))[:60]]
    rows = reader.read(entities, at=AS_OF)
    for view in VIEWS:
        own = [tuple(dict(zip(KEYS.names, entity, strict=True))[key] for key in view.keys) for entity in entities]
        for name, values in world.expected(view, own, AS_OF).items():
            assert bits(rows.values[name]) == bits(values)
    assert list(rows.values) == [name for view in VIEWS for name in view.schema.names]


def test_columns_are_what_training_gets(world: World):
    entities = world.entities(SPEND, SPEND.boundary(AS_OF))
    rows = world.reader(SPEND).read([*entities, (10**6,)], at=AS_OF)
    for field in SPEND.schema:
        arrow = pa.array(rows.values[field.name], SPEND.schema.to_arrow().field(field.name).type)
        expected = to_numpy(arrow, field.type)
        assert rows.columns[field.name].dtype == expected.dtype
        np.testing.assert_array_equal(rows.columns[field.name], expected)


def test_one_says_the_same_as_many(world: World, reader: FeatureReader):
    entities = [(c, s) for s, c in world.entities(BASKET, BASKET.boundary(AS_OF))[:30]]
    entities += [(10**6, "é"), (None, "é"), (1, None), (None, None)]
    for at in (AS_OF, AS_OF + DAY):
        many = reader.read(entities, at=at)
        for place, entity in enumerate(entities):
            one = reader.one(entity, at=at)
            shown = many.as_dicts()[place] if place % 10 == 0 else None
            assert list(one.values) == list(many.values)
            assert bits(one.values.values()) == bits([column[place] for column in many.values.values()])
            for view in VIEWS:
                is_missing = bool(many.is_missing[view.name][place])
                boundary, version = many.boundaries[view.name][place], many.versions[view.name][place]
                assert one.is_missing[view.name] is is_missing
                assert one.boundaries[view.name] == (None if is_missing else boundary)
                assert one.versions[view.name] == (None if is_missing else version)
                assert one.is_stale[view.name] is bool(many.is_stale[view.name][place])
                if shown is not None:
                    instant = None if is_missing else format_instant(int(boundary))
                    assert shown["views"][view.name]["boundary"] == instant
            if shown is not None:
                json.dumps(shown, default=str)
                assert bits(shown["features"].values()) == bits(one.values.values())


def test_an_entity_may_come_as_a_mapping_or_in_order(reader: FeatureReader, world: World):
    store, customer = world.entities(BASKET, BASKET.boundary(AS_OF))[0]
    forms = [(customer, store), [customer, store], {"store": store, "customer": customer, "more": 1}]
    rows = reader.read(forms, at=AS_OF)
    for values in rows.values.values():
        assert len({str(value) for value in values}) == 1
    assert not rows.is_missing["basket"].any()
    assert [bits(reader.one(form, at=AS_OF).values.values()) for form in forms[1:]] == [
        bits(reader.one(forms[0], at=AS_OF).values.values())
    ] * 2


@pytest.mark.parametrize("entity", [{"customer": 1}, (1,), (1, "é", 2), ("1", "é"), (1, 2), 7, "ab", None])
def test_an_entity_that_does_not_fit_is_a_data_error(reader: FeatureReader, entity):
    for ask in (lambda: reader.one(entity), lambda: reader.read([entity])):
        with pytest.raises(DataError) as caught:
            ask()
        assert caught.value.problems[0].expected


def test_a_missing_entity_reads_as_no_row_and_says_so(world: World):
    rows = world.reader(SPEND).read([(10**6,), (10**7,)], at=AS_OF)
    assert {name: values[1] for name, values in rows.values.items()} == nothing(SPEND)
    assert rows.is_missing["spend"].all()
    assert not rows.is_stale["spend"].any()
    assert rows.boundaries["spend"].tolist() == [NO_BOUNDARY] * 2
    assert rows.versions["spend"].tolist() == [NO_VERSION] * 2
    expected = world.expected(SPEND, [(10**6,)], AS_OF)
    assert nothing(SPEND) == {name: values[0] for name, values in expected.items()}, "not what training would see"


def test_no_entities_is_no_rows(reader: FeatureReader):
    rows = reader.read([], at=AS_OF)
    assert len(rows) == 0
    assert rows.as_dicts() == []
    assert all(values == [] for values in rows.values.values())
    assert all(column.shape == (0,) for column in rows.columns.values())


def test_staleness_begins_when_the_next_boundary_is_due(world: World):
    reader = world.reader(SPEND, SHOP)
    customer, store = world.entities(SPEND, SPEND.boundary(AS_OF))[0][0], "é"
    due = {view.name: view.step.next_after(view.boundary(AS_OF)) + view.lag for view in (SPEND, SHOP)}
    for at in (*due.values(), *(instant - 1 for instant in due.values()), AS_OF - 3 * DAY, 400 * DAY, AS_OF):
        stale = {name: at >= instant for name, instant in due.items()}
        assert reader.one((customer, store), at=at).is_stale == stale
        rows = reader.read([(customer, store)], at=at)
        assert {name: bool(flags[0]) for name, flags in rows.is_stale.items()} == stale
    with frozen_at(due["spend"]):
        assert reader.one((customer, store)).is_stale["spend"]
        assert reader.read([(customer, store)]).at == due["spend"]


def test_a_narrowed_view_reads_the_rows_of_the_whole_one(world: World):
    names = ("c_amount_7d", "c_last_store", "c_stores")
    entities = world.entities(SPEND, SPEND.boundary(AS_OF))
    whole, part = (
        FeatureReader(world.store, [(view, FINGERPRINT)], Schema.of([("customer", "int64")]))
        for view in (SPEND, SPEND.only(names))
    )
    expected = whole.read(entities, at=AS_OF)
    found = part.read(entities, at=AS_OF)
    assert tuple(found.values) == names
    for name in names:
        assert bits(found.values[name]) == bits(expected.values[name])
    assert part.one(entities[5], at=AS_OF).values == {name: expected.values[name][5] for name in names}


def test_a_reader_may_be_built_before_anything_is_written(tmp_path: Path):
    store = LmdbStore(tmp_path / "online", is_readonly=True)
    reader = FeatureReader(store, [(SPEND.only(("c_amount_7d",)), FINGERPRINT)], Schema.of([("customer", "int64")]))
    assert reader.one((1,), at=AS_OF).is_missing == {"spend": True}
    assert reader.read([(1,)], at=AS_OF).is_missing["spend"].tolist() == [True]
    world = World.at(tmp_path)
    world.load(orders(200, customers=20, days=10, seed=2))
    record = world.materialize(SPEND, AS_OF)
    entities = world.entities(SPEND, record.boundary)
    expected = world.expected(SPEND, entities, AS_OF)["c_amount_7d"]
    assert bits([reader.one(entity, at=AS_OF).values["c_amount_7d"] for entity in entities]) == bits(expected)


def test_a_table_that_was_made_anew_in_another_layout_is_not_misread(tmp_path: Path):
    """The reader has met the one layout; the next rows under the same name have their features in another order."""
    world = World.at(tmp_path)
    world.load(orders(200, customers=20, days=10, seed=2))
    reader = world.reader(SPEND)
    turned = replace(SPEND, aggregates=SPEND.aggregates[::-1])
    for view in (SPEND, turned, SPEND):
        record = world.materialize(view, AS_OF)
        entities = world.entities(SPEND, record.boundary)
        expected = world.expected(SPEND, entities, AS_OF)
        rows = reader.read(entities[1:], at=AS_OF).values
        one = reader.one(entities[0], at=AS_OF).values
        for name, values in expected.items():
            assert bits([one[name], *rows[name]]) == bits(values)


def test_rows_that_their_mark_does_not_describe_are_refused(tmp_path: Path):
    world = World.at(tmp_path)
    world.load(orders(200, customers=20, days=10, seed=2))
    record = world.materialize(SPEND, AS_OF)
    turned = replace(SPEND, aggregates=SPEND.aggregates[::-1])
    world.store.write(f"spend@{FINGERPRINT}", [], Mark.start(turned, record.boundary, record.version).encode())
    reader = FeatureReader(world.store, [(turned, FINGERPRINT)], Schema.of([("customer", "int64")]))
    (entity, *_) = world.entities(SPEND, record.boundary)
    for ask in (lambda: reader.one(entity), lambda: reader.read([entity])):
        with pytest.raises(ConflictError, match="read again"):
            ask()


def test_readers_that_cannot_be_right_are_refused(world: World):
    def build(views, keys):
        FeatureReader(world.store, [(view, FINGERPRINT) for view in views], Schema.of(keys))

    with pytest.raises(DefinitionError, match="'store' is not given"):
        build([SHOP], [("customer", "int64")])
    with pytest.raises(DefinitionError, match="customer"):
        build([SPEND], [("customer", "string")])
    with pytest.raises(DefinitionError, match="c_orders_7d"):
        build([SPEND, SPEND], [("customer", "int64")])


CUSTOMERS = st.none() | st.integers(-3, 3) | st.sampled_from([2**63 - 1, -(2**63)])
STORES = st.none() | st.sampled_from(["", "a", "ab", "b", "é" * 300, "é" * 300 + "x"])
MOMENTS = st.integers(0, 6 * 24).map(lambda hours: hours * HOUR)
ORDERS = st.lists(
    st.tuples(
        CUSTOMERS,
        STORES,
        st.none() | st.sampled_from([0.1, -0.0, 1e300, -1e300, 3.0, 0.3]),
        st.none() | st.integers(-5, 5),
        st.none() | st.booleans(),
        st.none() | st.dates(),
        MOMENTS,
        st.none() | MOMENTS,
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=ORDERS,
    view=st.sampled_from(VIEWS),
    as_of=st.integers(0, 8 * 24 * 60).map(lambda minutes: minutes * 60 * 10**6),
)
def test_what_is_fetched_is_what_the_engine_computes(tmp_path_factory, world, rows, view, as_of):
    ledger = world.ledger  # opening one costs more than the rest of a case
    ledger.delete(*ledger.select(MaterializationRecord))
    world = World.at(tmp_path_factory.mktemp("case"), ledger)
    *columns, held = zip(*rows, strict=True)
    columns[-1] = [datetime.fromtimestamp(at / 10**6, UTC) for at in columns[-1]]
    arrays = {
        field.name: pa.array(list(column), field.type) for field, column in zip(SCHEMA.to_arrow(), columns, strict=True)
    }
    ingested = [None if late is None else late + at for late, at in zip(held, (row[6] for row in rows), strict=True)]
    world.load(with_system(arrays, pa.array(ingested, pa.int64()), 1))
    assert_online(world, view, world.materialize(view, as_of, batch_rows=3))
    world.store.close()
