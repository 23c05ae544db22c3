"""The default entity online: read where an entity has no row, and never ahead of the rows that are being written."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from online_world import BASKET, FINGERPRINT, SPEND, World, bits, orders

from inseam.kernel.clock import DAY, HOUR
from inseam.kernel.types import Schema
from inseam.stages.features.fetch import FeatureReader

AS_OF, LATER = 20 * DAY + 5 * HOUR, 21 * DAY + 5 * HOUR
USUAL = 7
NEW = 999
"""A customer whose first row lies between the two instants."""
GUEST = replace(SPEND, default=(USUAL,))


class StopError(Exception):
    pass


def stopped(what: str, done: int, total: int | None = None) -> None:
    """Progress that fails when the first rows are durable."""
    if done:
        raise StopError


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World.at(tmp_path)
    first = orders(3000, customers=300, days=30, seed=1)
    at, customer = first["ordered_at"].to_pylist(), first["customer"].to_pylist()
    place = next(n for n, instant in enumerate(at) if instant.timestamp() // 86_400 == 20)
    customer[place] = NEW
    changed = first.set_column(0, "customer", pa.array(customer, pa.int64()))
    world.load(changed.set_column(changed.schema.get_field_index("_ingested_at"), "_ingested_at", first["ordered_at"]))
    return world


def test_an_entity_without_a_row_reads_as_the_default(world: World) -> None:
    world.materialize(GUEST, AS_OF)
    world.materialize(BASKET, AS_OF)
    of_default = {name: values[0] for name, values in world.expected(SPEND, [(USUAL,)], AS_OF).items()}
    assert of_default["c_orders_7d"], "whose values those are that tell it from nobody"
    keys = Schema.of([("customer", "int64"), ("store", "string")])
    reader = FeatureReader(world.store, [(GUEST, FINGERPRINT), (BASKET, FINGERPRINT)], keys)
    known = world.entities(SPEND, SPEND.boundary(AS_OF))[0][0]
    rows = reader.read([(NEW, "é"), (known, "é"), (None, "é")], at=AS_OF)
    for name, (own,) in world.expected(SPEND, [(known,)], AS_OF).items():
        assert bits(rows.values[name]) == bits([of_default[name], own, of_default[name]])
    assert rows.is_missing["spend"].tolist() == [False] * 3 and rows.is_missing["basket"][0]
    assert set(rows.boundaries["spend"].tolist()) == {GUEST.boundary(AS_OF)}
    for place, entity in enumerate([(NEW, "é"), (known, "é")]):
        one = reader.one(entity, at=AS_OF)
        assert one.values == {name: values[place] for name, values in rows.values.items()}
        assert one.boundaries == {**one.boundaries, "spend": GUEST.boundary(AS_OF)}


def test_a_newcomer_is_not_given_the_default_of_a_boundary_at_which_it_has_rows(world: World) -> None:
    world.materialize(GUEST, AS_OF)
    reader = world.reader(GUEST)
    before = reader.one((NEW,), at=LATER)
    with pytest.raises(StopError):
        world.materialize(GUEST, LATER, batch_rows=50, progress=stopped)
    written = world.entities(SPEND, SPEND.boundary(LATER))[0]
    assert reader.one(written, at=LATER).boundaries["spend"] == GUEST.boundary(LATER)
    between = reader.one((NEW,), at=LATER)
    assert (between.values, between.boundaries) == (before.values, {"spend": GUEST.boundary(AS_OF)})
    world.materialize(GUEST, LATER)
    after = reader.one((NEW,), at=LATER)
    assert after.boundaries == {"spend": GUEST.boundary(LATER)}
    assert after.values == {name: values[0] for name, values in world.expected(SPEND, [(NEW,)], LATER).items()}


def test_a_default_that_nobody_met_has_its_row_too(world: World) -> None:
    view = replace(GUEST, default=(-(10**9),))
    record = world.materialize(view, AS_OF)
    assert world.store.count(f"spend@{FINGERPRINT}") == record.rows + 1
    found = world.reader(view).one((NEW,), at=AS_OF)
    assert not found.is_missing["spend"] and found.values["c_orders_7d"] == 0 and found.values["c_last_at"] is None
