"""What every `inseam.ports.engine.Engine` must do: TIME.md to the letter, held against `inseam.testing.oracle`.

Subclass `EngineContract` and give the fixture ``opener``: called with a memory limit it returns an engine and the
tables that it reads, the same tables each time.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pytest import raises

from inseam.ir.aggregates import AggregateKind, AggregateSpec
from inseam.ir.relation import SEQUENCE, Joined, Relation
from inseam.ir.spine import RowsSpine, SnapshotsSpine
from inseam.ir.windows import EVENT_TIME, WindowedAggregate
from inseam.kernel.clock import DAY, MINUTE, Step, from_datetime
from inseam.kernel.errors import DefinitionError
from inseam.kernel.types import DataType, Schema
from inseam.ports.engine import Engine
from inseam.ports.rows import Batches
from inseam.ports.tables import Tables
from inseam.testing import oracle
from inseam.testing.worlds import (
    SCHEMA,
    STORED,
    UPSERTS,
    Read,
    World,
    joins,
    question,
    views,
    with_corrections,
    with_join,
    worlds,
)

Opener = Callable[[str], tuple[Engine, Tables]]
_names = itertools.count()
drawn = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=25
)


def stored(tables: Tables, world: World, name: str) -> None:
    """Write the world's rows as two commits, so that a snapshot has several files."""
    table = world.table()
    half = table.num_rows // 2
    tables.append(name, table.slice(0, half).to_reader() if half else table.slice(0, 0).to_reader())
    tables.append(name, table.slice(half).to_reader())


def told(view: WindowedAggregate, world: World) -> dict[str, list[Any]]:
    """The oracle's values of a view at the world's reads."""
    if view.default is None:
        return _told(view, world)
    default = dict(zip(view.keys, view.default, strict=True))
    own, other = _told(view, world), _told(view, World(world.rows, tuple({**read, **default} for read in world.reads)))
    known = _told(replace(view, aggregates=(_COUNT,)), world)["n"]
    return {name: [a if n else b for n, a, b in zip(known, own[name], other[name], strict=True)] for name in own}


def _told(view: WindowedAggregate, world: World) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for spec in view.aggregates:
        asked = question(view, spec)
        found[spec.name] = [
            oracle.value([row for row in world.rows if _is_of(row, read, view.keys)], asked, read["t"])
            for read in world.reads
        ]
    return found


def _is_of(row: oracle.Row, read: oracle.Row, keys: Sequence[str]) -> bool:
    return all(row[key] is not None and row[key] == read[key] for key in keys)


def assert_same(found: Sequence[Any], expected: Sequence[Any], what: str) -> None:
    """Exactly equal; floats to a relative 1e-9, since engines add in their own order."""
    assert len(found) == len(expected), what
    for place, (one, other) in enumerate(zip(map(_plain, found), map(_plain, expected), strict=True)):
        if isinstance(one, float) and isinstance(other, float):
            # Cells that cancel leave a sum whose own size says nothing about the bits that were lost.
            assert math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9), f"{what}[{place}]: {one!r} != {other!r}"
        else:
            assert one == other and (one is None) == (other is None), f"{what}[{place}]: {one!r} != {other!r}"


def _plain(value: Any) -> Any:
    return from_datetime(value) if isinstance(value, datetime) else value


def fresh() -> str:
    return f"sources/events_{next(_names)}"


class EngineContract:
    """Needs a fixture ``opener`` -> `Opener`."""

    memory_limits: tuple[str, ...] = ("1GB",)
    """Limits at which values are checked; add one so small that the engine must spill."""

    @drawn
    @given(data=st.data(), world=worlds())
    def test_every_value_is_what_the_definition_of_time_says(
        self, opener: Opener, data: st.DataObject, world: World
    ) -> None:
        name = fresh()
        engine, tables = opener(data.draw(st.sampled_from(self.memory_limits)))
        stored(tables, world, name)
        view = data.draw(views(name, defaults=True))
        spine = world.spine(view.keys)
        table = engine.features(spine.to_reader(max_chunksize=5), [view]).reader().read_all()
        assert table.schema.names == [*spine.schema.names, *view.schema.names]
        assert table.select(spine.schema.names).to_pylist() == spine.to_pylist()
        assert table.select(view.schema.names).schema.types == view.schema.to_arrow().types
        for feature, expected in told(view, world).items():
            assert_same(table[feature].to_pylist(), expected, feature)

    @drawn
    @given(data=st.data(), world=worlds(most=15), other=worlds(most=15))
    def test_views_of_several_tables_and_keys_stand_side_by_side(
        self, opener: Opener, data: st.DataObject, world: World, other: World
    ) -> None:
        names = fresh(), fresh()
        engine, tables = opener(data.draw(st.sampled_from(self.memory_limits)))
        stored(tables, world, names[0])
        stored(tables, other, names[1])
        drawn_views = [data.draw(views(name, f"v{n}", defaults=True)) for n, name in enumerate((*names, names[0]))]
        keys = tuple(dict.fromkeys(key for view in drawn_views for key in view.keys))
        table = engine.features(world.spine(keys).to_reader(), drawn_views).reader().read_all()
        for view, rows in zip(drawn_views, (world.rows, other.rows, world.rows), strict=True):
            for feature, expected in told(view, World(rows, world.reads)).items():
                assert_same(table[feature].to_pylist(), expected, feature)

    @drawn
    @given(data=st.data(), world=worlds())
    def test_snapshots_hold_the_keys_that_were_active(self, opener: Opener, data: st.DataObject, world: World) -> None:
        name = fresh()
        engine, tables = opener(self.memory_limits[0])
        stored(tables, world, name)
        view = data.draw(views(name))
        assume(view.step.microseconds)
        times = [row["ts"] for row in world.rows if row["ts"] is not None]
        bounds = data.draw(st.sampled_from([(None, None), (min(times, default=0), max(times, default=0))]))
        active = data.draw(st.sampled_from([None, 1, 3_600_000_000, 3 * 86_400_000_000]))
        spine = SnapshotsSpine(view.relation, view.keys, view.step, active, *bounds)
        found = engine.spine(spine).reader().read_all()
        assert found.schema.names == [*view.keys, EVENT_TIME]
        held = [row for row in world.rows if row["ts"] is not None and all(row[key] is not None for key in view.keys)]
        low = min((row["ts"] for row in held), default=0) if bounds[0] is None else bounds[0]
        high = max((row["ts"] for row in held), default=0) + 1 if bounds[1] is None else bounds[1]
        step = view.step
        expected = oracle.snapshots(world.rows, view.keys, step.microseconds, step.zone, active, low, high)
        rows = [(from_datetime(row[EVENT_TIME]), *(row[key] for key in view.keys)) for row in found.to_pylist()]
        assert rows == expected

    @drawn
    @given(data=st.data(), world=worlds(most=40, least=15))
    def test_a_row_counts_until_the_one_that_supersedes_it_is_known(
        self, opener: Opener, data: st.DataObject, world: World
    ) -> None:
        name, upserts = fresh(), data.draw(UPSERTS)
        engine, tables = opener(data.draw(st.sampled_from(self.memory_limits)))
        stored(tables, world, name)
        view = data.draw(views(name, defaults=True))
        view = replace(view, relation=replace(view.relation, upserts=upserts))
        table = engine.features(world.spine(view.keys).to_reader(max_chunksize=5), [view]).reader().read_all()
        for feature, expected in told(view, with_corrections(world, upserts)).items():
            assert_same(table[feature].to_pylist(), expected, feature)

    @drawn
    @given(data=st.data(), world=worlds(most=40, least=15))
    def test_spines_are_of_the_rows_that_stand(self, opener: Opener, data: st.DataObject, world: World) -> None:
        name, upserts = fresh(), data.draw(UPSERTS)
        engine, tables = opener(self.memory_limits[0])
        stored(tables, world, name)
        relation = replace(data.draw(views(name)).relation, upserts=upserts)
        rows = [row for row in with_corrections(world, upserts).rows if row["until"] is None]
        held = [row for row in rows if row["customer"] is not None and row["ts"] is not None]
        found = engine.spine(RowsSpine(relation, ("customer",), ("pieces",))).reader().read_all().to_pylist()
        held.sort(key=lambda row: (row["ts"], row["seq"]))
        assert [row["pieces"] for row in found] == [row["pieces"] for row in held]
        end = max((row["ts"] for row in held), default=0) + 1
        spine = SnapshotsSpine(relation, ("customer",), Step(1), start=end, end=end + 1)
        assert {row["customer"] for row in engine.spine(spine).reader().read_all().to_pylist()} == {
            row["customer"] for row in held
        }

    def test_functions_run_where_the_rows_are_and_keep_their_order(self, opener: Opener) -> None:
        name, count = fresh(), 20_000
        engine, tables = opener(self.memory_limits[0])
        tables.append(name, _numbered(count).to_reader())
        relation = Relation(name, "at", SCHEMA)
        held = engine.scan(relation, columns=["at", "pieces"]).hold()
        twice = held.map(_twice, _TWICE.to_arrow())
        assert twice.schema == _TWICE.to_arrow()
        for _ in range(2):
            assert twice.reader().read_all()["twice"].to_pylist() == list(range(0, 2 * count, 2))
        told: list[tuple[int, int]] = []
        parts = held.consume(_ends, parts=lambda done, known: told.append((done, known)))
        assert bool(told) is held.is_spread, "who waits for workers hears how far they are"
        assert all(done <= known for done, known in told) and [done for done, known in told[-1:] if done < known] == []
        assert [part for part, *_ in parts] == sorted({part for part, *_ in parts})
        ends = [end for _, *ends in parts if ends for end in ends]
        assert (ends[0], ends[-1]) == (0, count - 1) and ends == sorted(ends)

    def test_a_table_takes_rows_from_where_they_are(self, opener: Opener) -> None:
        name, count = fresh(), 20_000
        engine, tables = opener(self.memory_limits[0])
        tables.append(name, _numbered(count).to_reader())
        told: list[int] = []
        rows = engine.scan(Relation(name, "at", SCHEMA), columns=["at", "pieces"])
        tables.append(f"{name}_twice", rows.map(_twice, _TWICE.to_arrow()), seen=told.append)
        copied = engine.scan(Relation(f"{name}_twice", "at", _TWICE))
        assert copied.reader().read_all()["twice"].to_pylist() == list(range(0, 2 * count, 2))
        assert told[-1] == tables.snapshot(f"{name}_twice").rows == count
        with raises(DefinitionError, match="a part is refused"):
            tables.append(name, engine.scan(Relation(name, "at", SCHEMA)).map(_refused, STORED.to_arrow()))
        assert tables.snapshot(name).version == 0

    def test_a_spine_that_the_engine_gave_may_stay_where_it_is(self, opener: Opener) -> None:
        name = fresh()
        engine, tables = opener(self.memory_limits[0])
        tables.append(name, _numbered(3_000).to_reader())
        spine, view = RowsSpine(Relation(name, "at", SCHEMA), ("customer",), ("pieces",)), _count_of_rows(name)
        found = engine.features(engine.spine(spine), [view]).reader().read_all()
        assert found["pieces"].to_pylist() == list(range(3_000))
        assert found["n"].to_pylist() == [place // 7 for place in range(3_000)]

    def test_an_empty_spine_gives_the_columns_and_no_row(self, opener: Opener) -> None:
        name = fresh()
        engine, tables = opener(self.memory_limits[0])
        stored(tables, World((), ()), name)
        view = _count_of_rows(name)
        table = engine.features(World((), ()).spine(view.keys).to_reader(), [view]).reader().read_all()
        assert table.num_rows == 0
        assert table.schema.names == ["customer", EVENT_TIME, "number", "n"]


class JoinContract:
    """What every engine does with joined rows. Needs a fixture ``opener`` -> `Opener`."""

    def test_rows_bring_what_they_joined_into_windows_and_spines(self, opener: Opener) -> None:
        name, count = fresh(), 1_000
        engine, tables = opener("600MB")
        tables.append(name, _numbered(count).to_reader())
        join = Joined(_count_of_rows(name), (("customer", "customer"),), "of_")
        read = Relation(name, "at", Schema((*SCHEMA, *join.schema)), joins=(join,))
        found = engine.features(
            engine.spine(RowsSpine(read, ("customer",), ("pieces", "of_n"))),
            [replace(_count_of_rows(name), relation=read, aggregates=(_THE_MOST,))],
        )
        table = found.reader().read_all()
        assert table["pieces"].to_pylist() == list(range(count))
        assert table["of_n"].to_pylist() == [place // 7 for place in range(count)]
        assert table["most"].to_pylist() == [place // 7 - 1 if place >= 7 else None for place in range(count)]


class DrawnJoinContract(JoinContract):
    """The same of drawn rows, joins of joins, and corrections: for engines on which that costs little."""

    @settings(drawn, max_examples=6)
    @given(data=st.data(), drawn_worlds=st.tuples(worlds(most=20), worlds(most=20), worlds(most=10)))
    def test_rows_have_what_they_join_as_it_was_at_their_own_instant(
        self, opener: Opener, data: st.DataObject, drawn_worlds: tuple[World, World, World]
    ) -> None:
        engine, tables = opener("600MB")
        names = fresh(), fresh(), fresh()
        for name, world in zip(names, drawn_worlds, strict=True):
            stored(tables, world, name)
        plain, inner, innermost = (Read(Relation(n, "at", SCHEMA), w) for n, w in zip(names, drawn_worlds, strict=True))
        # What is joined has joined rows itself, and rows may get one view's features twice, by other columns.
        nested = with_join(inner, data.draw(joins(innermost.relation, "a_")), innermost)
        once = with_join(plain, data.draw(joins(nested.relation, "b_")), nested)
        read = with_join(once, data.draw(joins(nested.relation, "c_")), nested)
        upserts = data.draw(st.none() | UPSERTS)
        relation = replace(read.relation, upserts=upserts)
        world = read.world if upserts is None else with_corrections(read.world, upserts)
        newest = tuple(
            AggregateSpec(f"last_{f.name}", AggregateKind.LAST, f.type, f.name, data.draw(st.sampled_from([None, DAY])))
            for joined in relation.joins
            for f in joined.schema
        )
        view = replace(data.draw(views(names[0], labels=False)), relation=relation, aggregates=newest)
        table = engine.features(world.spine(view.keys).to_reader(), [view]).reader().read_all()
        for feature, expected in told(view, world).items():
            assert_same(table[feature].to_pylist(), expected, feature)


_COUNT = AggregateSpec("n", AggregateKind.COUNT, DataType.INT64)
_THE_MOST = AggregateSpec("most", AggregateKind.MAX, DataType.INT64, "of_n")
_TWICE = Schema.of([("at", DataType.TIMESTAMP), ("twice", DataType.INT64)])


def _numbered(count: int) -> pa.Table:
    """Rows a minute apart, numbered by ``pieces``, of seven customers by turns."""
    number = np.arange(count)
    columns = {
        "customer": pa.array(number % 7),
        "at": pa.array(number * MINUTE).cast(pa.timestamp("us", tz="UTC")),
        "pieces": pa.array(number),
        SEQUENCE: pa.array(number),
    }
    return pa.table([columns.get(f.name, pa.nulls(count, f.type)) for f in STORED.to_arrow()], STORED.to_arrow())


def _twice(batches: Batches) -> Batches:
    for batch in batches:
        yield pa.record_batch([batch.column("at"), pc.multiply(batch.column("pieces"), 2)], _TWICE.to_arrow())


def _ends(part: int, batches: Batches) -> tuple[int, ...]:
    """The part, with its first and last number; so slowly that it is seen at work."""
    numbers = [batch.column("pieces") for batch in batches if batch.num_rows]
    time.sleep(2.5 if numbers else 0.0)
    return (part, numbers[0][0].as_py(), numbers[-1][-1].as_py()) if numbers else (part,)


def _refused(batches: Batches) -> Batches:
    for batch in batches:
        yield batch
        raise DefinitionError("rows", "a part is refused")


def _count_of_rows(name: str) -> WindowedAggregate:
    return WindowedAggregate("view", Relation(name, "at", SCHEMA), ("customer",), Step(0), 0, (_COUNT,))
