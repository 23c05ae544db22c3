"""Materialization: every entity, one boundary, one snapshot; whatever is killed and whoever else tries."""

import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa
from online_world import (
    BASKET,
    FINGERPRINT,
    SPEND,
    STAMP,
    VIEWS,
    World,
    assert_online,
    bits,
    orders,
    with_system,
)

from inseam.adapters.sql.ledger import SqlLedger
from inseam.adapters.sql.tables import LEASE
from inseam.ir.records import LoadRecord, MaterializationRecord
from inseam.kernel.clock import DAY, HOUR
from inseam.kernel.errors import ConflictError, DefinitionError, NotFoundError
from inseam.stages.features.mark import BEGUN, COMMITTED, Mark
from inseam.stages.features.materialize import prune

ONLINE = f"spend@{FINGERPRINT}"
AS_OF = 20 * DAY + 5 * HOUR


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World.at(tmp_path)
    world.load(orders(3000, customers=300, days=30, seed=1))
    return world


class StopError(Exception):
    pass


def stop_at(rows: int):
    """Progress that fails as soon as so many rows are durable."""

    def progress(what: str, done: int, total: int | None = None) -> None:
        if done >= rows:
            raise StopError

    return progress


def mark_of(world: World) -> Mark:
    mark = Mark.decode(world.store.mark(ONLINE))
    assert mark is not None
    return mark


def records(world: World) -> list[MaterializationRecord]:
    return world.ledger.select(MaterializationRecord, view="spend")


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_every_entity_seen_before_the_boundary_gets_its_row(world: World, view):
    record = world.materialize(view, AS_OF, batch_rows=70)
    assert record.boundary == view.boundary(AS_OF)
    assert record.status == COMMITTED
    assert_online(world, view, record)
    assert world.ledger.select(MaterializationRecord, view=view.name) == [record]


def test_what_is_online_already_is_not_written_again(world: World):
    first = world.materialize(SPEND, AS_OF)
    assert world.materialize(SPEND, AS_OF + HOUR, engine=None) == first
    assert records(world) == [first]


def test_a_later_boundary_replaces_the_rows(world: World):
    first = world.materialize(SPEND, AS_OF)
    second = world.materialize(SPEND, AS_OF + 5 * DAY)
    assert second.boundary == first.boundary + 5 * DAY
    assert_online(world, SPEND, second)
    assert records(world) == [first, second]


def test_a_newer_snapshot_replaces_the_rows_and_a_pinned_one_does_not(world: World):
    first = world.materialize(SPEND, AS_OF)
    world.load(orders(500, customers=300, days=18, seed=2))
    assert world.materialize(SPEND.at(first.version), AS_OF) == first
    second = world.materialize(SPEND, AS_OF)
    assert second.version > first.version
    assert_online(world, SPEND, second)


def stopped(world: World) -> MaterializationRecord:
    """The record of a materialization that was stopped after 150 entities."""
    with pytest.raises(StopError):
        world.materialize(SPEND, AS_OF, batch_rows=50, progress=stop_at(150))
    assert (mark_of(world).rows, mark_of(world).status) == (150, BEGUN)
    (begun,) = records(world)
    assert begun.status == BEGUN
    return begun


def test_a_writer_that_slept_does_not_write_over_who_took_its_work_over(world: World):
    done = []

    def sleep(what: str, rows: int, total: int | None = None) -> None:
        """Another host takes the lease of this one, which has been silent, and finishes a later boundary."""
        if rows == 150 and not done:
            elsewhere = sa.update(LEASE).values(machine="elsewhere", heartbeat_at=0)
            world.ledger._database.transact(lambda connection: connection.execute(elsewhere))
            done.append(world.materialize(SPEND, AS_OF + 5 * DAY))

    with pytest.raises(ConflictError, match="meanwhile"):
        world.materialize(SPEND, AS_OF, batch_rows=50, progress=sleep)
    assert_online(world, SPEND, done[0])
    assert mark_of(world).boundary == done[0].boundary


def test_what_was_begun_goes_on_after_its_last_batch(world: World):
    begun = stopped(world)
    seen = []
    record = world.materialize(SPEND, AS_OF, batch_rows=50, progress=lambda what, done, total=None: seen.append(done))
    assert seen[:2] == [150, 200]
    assert record.version == begun.version
    assert_online(world, SPEND, record)
    assert records(world) == [record]


def test_what_was_begun_is_left_for_newer_data(world: World):
    begun = stopped(world)
    assert world.load(orders(500, customers=400, days=18, seed=2)) > begun.version
    seen = []
    record = world.materialize(SPEND, AS_OF, batch_rows=50, progress=lambda what, done, total=None: seen.append(done))
    assert seen[:2] == [0, 50]
    assert record.version > begun.version
    assert_online(world, SPEND, record)
    assert records(world) == [record]


@pytest.mark.parametrize(("is_history", "stamp"), [(False, AS_OF + DAY), (True, AS_OF + DAY), (False, AS_OF - DAY)])
def test_what_was_begun_goes_on_when_what_came_since_does_not_count(world: World, is_history: bool, stamp: int):
    begun = stopped(world)
    table = orders(500, customers=400, days=18, seed=2)
    held = pa.nulls(500, STAMP) if is_history else pa.array([stamp] * 500, STAMP)
    version = world.load(table.set_column(table.schema.get_field_index("_ingested_at"), "_ingested_at", held))
    world.ledger.put(LoadRecord("orders", 2, COMMITTED, is_history, stamp, 500, 500, 0, version))
    record = world.materialize(SPEND, AS_OF, batch_rows=50)
    assert record.version == (begun.version if not is_history and stamp > AS_OF else version)
    assert_online(world, SPEND, record)
    entities = world.entities(SPEND.at(begun.version), record.boundary)
    read = world.reader(SPEND).read(entities, at=AS_OF).values["c_amount_7d"]
    assert bits(read) == bits(world.expected(SPEND, entities, AS_OF)["c_amount_7d"]), "as the newest snapshot has them"


def test_what_was_begun_goes_on_where_its_snapshot_is_named(world: World):
    begun = stopped(world)
    world.load(orders(500, customers=400, days=18, seed=2))
    record = world.materialize(SPEND.at(begun.version), AS_OF, batch_rows=50)
    assert record.version == begun.version
    assert_online(world, SPEND, record)


def test_what_was_begun_for_another_boundary_begins_anew(world: World):
    with pytest.raises(StopError):
        world.materialize(SPEND, AS_OF, batch_rows=50, progress=stop_at(150))
    record = world.materialize(SPEND, AS_OF + DAY, batch_rows=50)
    assert record.boundary == SPEND.boundary(AS_OF + DAY)
    assert_online(world, SPEND, record)
    assert records(world) == [record]


def test_while_it_runs_each_row_is_read_under_its_own_boundary(world: World):
    first = world.materialize(SPEND, AS_OF)
    with pytest.raises(StopError):
        world.materialize(SPEND, AS_OF + 5 * DAY, batch_rows=50, progress=stop_at(150))
    entities = world.entities(SPEND, first.boundary)
    rows = world.reader(SPEND).read(entities, at=AS_OF + 5 * DAY)
    boundaries = rows.boundaries["spend"]
    assert set(boundaries.tolist()) == {first.boundary, first.boundary + 5 * DAY}
    assert rows.is_stale["spend"].tolist() == (boundaries == first.boundary).tolist()
    for boundary in (first.boundary, first.boundary + 5 * DAY):
        places = np.flatnonzero(boundaries == boundary).tolist()
        expected = world.expected(SPEND, [entities[place] for place in places], boundary + SPEND.lag)
        for name, values in expected.items():
            assert [rows.values[name][place] for place in places] == values


def test_a_lost_store_is_written_again_though_the_ledger_says_committed(world: World):
    first = world.materialize(SPEND, AS_OF)
    world.store.drop(ONLINE)
    second = world.materialize(SPEND, AS_OF)
    assert replace(second, started_at=first.started_at, finished_at=first.finished_at) == first
    assert_online(world, SPEND, second)


def test_a_record_that_a_kill_left_open_is_closed(world: World):
    """Killed between the store's last mark and the ledger's record."""
    first = world.materialize(SPEND, AS_OF)
    world.ledger.put(replace(first, status=BEGUN, rows=0, finished_at=None))
    second = world.materialize(SPEND, AS_OF, engine=None)
    assert replace(second, finished_at=first.finished_at) == first


def test_rows_of_another_layout_are_dropped_first(world: World):
    world.materialize(SPEND.only(("c_orders_7d", "c_last_store")), AS_OF + DAY)
    assert_online(world, SPEND, world.materialize(SPEND, AS_OF))


def test_before_the_first_row_there_is_nobody(world: World):
    record = world.materialize(SPEND, -3 * DAY)
    assert (record.rows, record.status, world.store.count(ONLINE)) == (0, COMMITTED, 0)
    assert mark_of(world).status == COMMITTED


def test_one_of_two_wins_and_the_other_is_told(world: World, tmp_path: Path):
    other = SqlLedger(f"sqlite:///{tmp_path}/ledger.db")
    with other.lease("materialize:spend"), pytest.raises(ConflictError, match="materialize:spend"):
        world.materialize(SPEND, AS_OF)
    assert world.store.mark(ONLINE) is None
    with other.lease("materialize:spend"):
        world.materialize(BASKET, AS_OF)
    assert_online(world, SPEND, world.materialize(SPEND, AS_OF))


def test_what_cannot_be_materialized_is_refused(world: World):
    with pytest.raises(DefinitionError, match="forward"):
        world.materialize(replace(SPEND, forward=DAY), AS_OF)
    missing = replace(SPEND, relation=replace(SPEND.relation, table="sources/none"))
    with pytest.raises(NotFoundError):
        world.materialize(missing, AS_OF)


def test_prune_drops_what_no_definition_needs(world: World):
    kept = world.materialize(SPEND, AS_OF)
    world.materialize(BASKET, AS_OF)
    world.store.write("spend@old", [(b"k", b"row")], b"mark")
    world.ledger.put(replace(kept, fingerprint="old"))
    assert prune(world.store, world.ledger, {("spend", FINGERPRINT)}) == [f"basket@{FINGERPRINT}", "spend@old"]
    assert set(world.store.tables()) == {ONLINE}
    assert world.ledger.select(MaterializationRecord) == [kept]
    assert_online(world, SPEND, kept)


def assert_no_mixture(world: World) -> None:
    """The rows that the mark counts are there, whole, and beside them only rows of an older snapshot, as whole."""
    if world.store.mark(ONLINE) is None:
        return
    mark = mark_of(world)
    entities = world.entities(SPEND.at(mark.version), mark.boundary)
    rows = world.reader(SPEND).read(entities, at=AS_OF)
    versions = rows.versions["spend"]
    assert np.count_nonzero(versions == mark.version) == mark.rows
    assert versions.max() <= mark.version
    for version in sorted(set(versions.tolist()) - {-1}):
        places = np.flatnonzero(versions == version)[:200].tolist()
        expected = world.expected(SPEND.at(version), [entities[place] for place in places], AS_OF)
        for name, values in expected.items():
            assert bits([rows.values[name][place] for place in places]) == bits(values)


@pytest.mark.slow
def test_killed_at_random_instants_and_resumed_nothing_is_lost(tmp_path: Path):
    world = World.at(tmp_path)
    rows = 9000
    ids = pa.array(np.random.default_rng(3).permutation(rows))
    drawn = orders(rows, customers=10, days=15, seed=3)
    columns = {name: drawn[name] for name in drawn.column_names[:-2]} | {"customer": ids}
    world.load(with_system(columns, pa.nulls(rows, pa.int64()), 1))
    draw = random.Random(11)
    command = [sys.executable, str(Path(__file__).with_name("online_world.py")), str(tmp_path), str(AS_OF), "20"]
    reached = 0
    for kill in range(15):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        if kill % 5 == 4:  # at any instant from the start of the interpreter on
            time.sleep(draw.random() * 2)
        else:  # while it writes
            for _ in range(draw.randint(1, 20)):
                process.stdout.readline()
            time.sleep(draw.random() * 0.05)
        process.send_signal(signal.SIGKILL)
        done = [int(line) for line in process.stdout.read().split("\n")[:-1]]
        process.wait()
        assert_no_mixture(world)
        now = 0 if world.store.mark(ONLINE) is None else mark_of(world).rows
        assert now >= max(reached, *done, 0), "an acknowledged batch was lost"
        reached = now
        if kill == 5:
            world.load(orders(500, customers=400, days=10, seed=4))
            reached = 0  # the next one begins with the newer snapshot
    assert mark_of(world).status == BEGUN, "the kills came too late to show anything"
    record = world.materialize(SPEND, AS_OF, batch_rows=5000)
    assert record.version == 1
    assert_online(world, SPEND, record)
