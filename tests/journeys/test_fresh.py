"""Views over streams: whatever was written when, and whoever was killed, a read gives TIME.md's value at the boundary
that it names."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from inseam.adapters.delta.tables import DeltaTables
from inseam.adapters.duckdb.engine import DuckdbEngine
from inseam.adapters.lmdb.store import LmdbStore
from inseam.ir import tile_fold
from inseam.ir.aggregates import DERIVED, AggregateKind, AggregateSpec
from inseam.ir.relation import Relation
from inseam.ir.tile_key import entity_part
from inseam.ir.tile_measure import FAMILIES
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.clock import DAY, HOUR, SECOND, Step
from inseam.kernel.errors import ConflictError, UnavailableError
from inseam.kernel.types import DataType, Field, Schema
from inseam.ports.online import OnlineStore
from inseam.run.receipt import recompute
from inseam.stages.features.fetch import FeatureReader
from inseam.stages.features.freshen import Freshened, Freshener
from inseam.stages.features.tile_table import APPLIED, drop_tiles, tile_table
from inseam.testing import oracle
from inseam.testing.contracts.engine import assert_same
from inseam.testing.worlds import SCHEMA, World, question, views, worlds

_numbers = itertools.count()
FINGERPRINT = "f" * 32


class KilledError(Exception):
    pass


class Mortal:
    """A store whose writer is killed after some writes."""

    def __init__(self, store: OnlineStore) -> None:
        self._store = store
        self.left: int | None = None

    def write(self, table: str, rows: Sequence[tuple[bytes, bytes | None]], *rest: Any, **options: Any) -> None:
        if self.left is not None:
            if self.left == 0:
                raise KilledError
            self.left -= 1
        self._store.write(table, rows, *rest, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class Torn(Mortal):
    """The same where a write is whole for an entity alone: one that is killed leaves some of them, without the mark."""

    is_one_state = False
    deaths = 0

    def write(self, table: str, rows: Sequence[tuple[bytes, bytes | None]], *rest: Any, **options: Any) -> None:
        if self.left == 0:
            self.deaths += 1
            self._store.write(table, [row for row in rows if crc32(entity_part(row[0])) >> self.deaths % 8 & 1])
        super().write(table, rows, *rest, **options)


@dataclass
class Place:
    engine: DuckdbEngine
    tables: DeltaTables
    store: Any
    drawn: list[Any] = field(default_factory=list)


@pytest.fixture(scope="module", params=[Mortal, Torn])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("fresh")
    tables = DeltaTables(root / "tables")
    store = LmdbStore(Path(root / "online"))
    yield Place(DuckdbEngine(tables, directory=root / "spill", memory_limit="512MB"), tables, request.param(store))
    store.close()


def key_schema(view: WindowedAggregate) -> Schema:
    return Schema(tuple(Field(key, SCHEMA.type_of(key) or DataType.STRING) for key in view.keys))


def assert_reads(place: Place, view: WindowedAggregate, world: World, instant: int) -> None:
    """Every entity's values are the oracle's at the boundary that its row names, and replay gives them too."""
    keys = [key for key in dict.fromkeys(tuple(r[k] for k in view.keys) for r in world.rows) if None not in key]
    reader = FeatureReader(place.store, [(view, FINGERPRINT)], key_schema(view), fresh=[view.name])
    found = reader.read(keys, at=instant)
    for number, key in enumerate(keys):
        if found.is_missing[view.name][number]:
            continue
        boundary = int(found.boundaries[view.name][number])
        own = [row for row in world.rows if tuple(row[k] for k in view.keys) == key]
        one = reader.one(key, at=instant) if number == 0 else None
        for spec in view.aggregates:
            expected = oracle.value(own, question(view, spec), boundary + view.lag)
            assert_same([found.values[spec.name][number]], [expected], f"{spec} of {key} at {boundary}")
            if one is not None:
                assert_same([one.values[spec.name]], [expected], f"{spec} of {key} alone")


def assert_replayed(place: Place, view: WindowedAggregate, world: World, instant: int) -> None:
    """What a prediction's log would say of a read, its boundary and its snapshot, gives its values again."""
    keys = [key for key in dict.fromkeys(tuple(r[k] for k in view.keys) for r in world.rows) if None not in key]
    reader = FeatureReader(place.store, [(view, FINGERPRINT)], key_schema(view), fresh=[view.name])
    for key in keys[:1]:
        found = reader.read([key], at=instant)
        if not found.is_missing[view.name][0]:
            boundary, version = (int(x[view.name][0]) for x in (found.boundaries, found.versions))
            logged = dict(zip(view.keys, key, strict=True))
            again = recompute(place.engine, view.at(version), key_schema(view).fields, logged, boundary)
            for spec in view.aggregates:
                cell = found.columns[spec.name][0]
                assert_same([again[spec.name]], [_logged(cell, spec.type)], f"replay of {spec}")


def _logged(cell: Any, type_: DataType) -> Any:
    """A column's cell in the form in which the prediction log keeps it."""
    if type_ in (DataType.TIMESTAMP, DataType.DATE):
        return None if np.isnat(cell) else int(cell.astype(np.int64))
    if type_ is DataType.STRING:
        return cell
    return None if math.isnan(cell) else float(cell)


@pytest.mark.parametrize("inline", [1, 64])
@settings(
    deadline=None, max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data(), world=worlds())
def test_reads_at_any_instant_give_the_value_of_the_boundary_that_they_name(
    place: Place, inline: int, data: st.DataObject, world: World
) -> None:
    number = next(_numbers)
    view = data.draw(views(f"sources/rows_{number}", f"v{number}", labels=False, kinds=(*FAMILIES, *DERIVED)))
    assume(world.rows)
    instants = sorted({row["known"] for row in world.rows if row["known"] is not None} | {r["t"] for r in world.reads})
    assume(instants)
    steps = sorted(data.draw(st.lists(st.sampled_from(instants), min_size=1, max_size=2)))
    table = world.table()
    cut = data.draw(st.integers(0, table.num_rows))
    place.tables.append(view.relation.table, table.slice(0, cut).to_reader() if cut else table.slice(0, 0).to_reader())
    place.tables.append(view.relation.table, table.slice(cut).to_reader())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tile_fold, "INLINE", inline)
        reached = None
        for through in steps:
            for kill_after in (*data.draw(st.lists(st.integers(0, 3), max_size=2)), None):
                place.store.left = kill_after
                freshener = Freshener(
                    view, FINGERPRINT, engine=place.engine, tables=place.tables, store=place.store,
                    batch_rows=7, batch_entities=2,
                )  # fmt: skip
                try:
                    done = freshener.step(through, history=1)
                except KilledError:
                    if reached is not None:
                        assert_reads(place, view, world, through)
                    continue
                reached = done.boundary
                assert reached == view.boundary(through)
                place.store.left = None
            assert_reads(place, view, world, through)
            assert_replayed(place, view, world, through)
        # Nothing is written any more: windows expire, and rows that come are not read before their boundary.
        later = [steps[-1] + by for by in (HOUR, 3 * DAY, 9 * DAY)]
        for instant in (*data.draw(st.lists(st.sampled_from(instants), max_size=4)), *later):
            assert_reads(place, view, world, instant)


def test_a_step_without_rows_writes_no_entity_and_history_builds_anew(place: Place) -> None:
    view = WindowedAggregate(
        "quiet", Relation("sources/quiet", "at", SCHEMA), ("customer",), Step(SECOND), 0,
        (AggregateSpec("n", AggregateKind.COUNT, DataType.INT64, None, 10 * SECOND),),
    )  # fmt: skip
    row = dict.fromkeys((*SCHEMA.names, "known", "seq"), None)

    def append(ts: int, known: int | None, seq: int) -> None:
        world = World(({**row, "customer": 1, "ts": ts, "known": known, "seq": seq},), ())
        place.tables.append(view.relation.table, world.table().to_reader())

    def step(through: int, history: int = 0) -> Freshened:
        made = Freshener(view, FINGERPRINT, engine=place.engine, tables=place.tables, store=place.store)
        return made.step(through, history)

    def read(at: int) -> int:
        reader = FeatureReader(place.store, [(view, FINGERPRINT)], key_schema(view), fresh=["quiet"])
        return int(reader.one({"customer": 1}, at=at).values["n"])

    append(0, 1, 1)
    assert step(SECOND).rows == 1
    assert read(SECOND) == 1
    assert step(9 * SECOND).entities == 0
    assert read(9 * SECOND) == 1
    assert step(11 * SECOND).entities == 0
    assert read(11 * SECOND) == 0, "it expired with nobody writing it"
    append(10 * SECOND, 12 * SECOND, 2)
    assert step(12 * SECOND).rows == 1
    assert read(12 * SECOND) == 1
    append(8 * SECOND, None, 3)
    assert step(13 * SECOND).rows == 0, "history is asked for by its number"
    assert step(14 * SECOND, history=1).rows == 3
    assert read(14 * SECOND) == 2


def test_a_writer_that_is_killed_at_any_write_counts_no_row_twice_and_loses_none(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tile_fold, "INLINE", 1)
    view = WindowedAggregate(
        "killed", Relation("sources/killed", "at", SCHEMA), ("customer",), Step(SECOND), 0,
        (
            AggregateSpec("ever", AggregateKind.COUNT, DataType.INT64, None, None),
            AggregateSpec("lately", AggregateKind.COUNT, DataType.INT64, None, 3 * SECOND),
        ),
    )  # fmt: skip
    row = dict.fromkeys((*SCHEMA.names, "known", "seq"), None)
    customers, deaths = range(12), 0

    def arrive(number: int) -> None:
        known = number * SECOND
        rows = [{**row, "customer": one, "ts": known - 1, "known": known, "seq": known + one} for one in customers]
        place.tables.append(view.relation.table, World(tuple(rows), ()).table().to_reader())

    arrive(0)
    arrive(1)
    for number in range(1, 9):
        for kill_after in (*range(6), None):
            place.store.left = kill_after
            freshener = Freshener(
                view, FINGERPRINT, engine=place.engine, tables=place.tables, store=place.store,
                batch_rows=8, batch_entities=5,
            )  # fmt: skip
            try:
                freshener.step(number * SECOND, 0)
                break
            except KilledError:
                deaths += 1
        place.store.left = None
        reader = FeatureReader(place.store, [(view, FINGERPRINT)], key_schema(view), fresh=["killed"])
        found = reader.read([(one,) for one in customers], at=number * SECOND)
        assert list(found.values["ever"]) == [number + 1] * len(customers)
        assert list(found.values["lately"]) == [min(3, number + 1)] * len(customers)
        arrive(number + 1)
    assert deaths > 20


def test_a_writer_that_slept_through_steps_of_another_writes_nothing(place: Place) -> None:
    view = WindowedAggregate(
        "slept", Relation("sources/slept", "at", SCHEMA), ("customer",), Step(SECOND), 0,
        (AggregateSpec("n", AggregateKind.COUNT, DataType.INT64, None, None),),
    )  # fmt: skip
    row = dict.fromkeys((*SCHEMA.names, "known", "seq"), None)

    def step(number: int, store: OnlineStore) -> None:
        made = Freshener(view, FINGERPRINT, engine=place.engine, tables=place.tables, store=store, batch_entities=1)
        made.step(number * SECOND, 0)

    class Sleeper:
        """Writes after another has made the same step and the next."""

        def __init__(self, number: int, wakes: int) -> None:
            self._number = number
            self._left = wakes

        def write(self, *arguments: Any, **options: Any) -> None:
            self._left -= 1
            if self._left == 0:
                step(self._number, place.store)
                step(self._number + 1, place.store)
            place.store.write(*arguments, **options)

        def __getattr__(self, name: str) -> Any:
            return getattr(place.store, name)

    for number in range(1, 13):
        known = number * SECOND
        rows = tuple({**row, "customer": one, "ts": 0, "known": known, "seq": known + one} for one in range(3))
        place.tables.append(view.relation.table, World(rows, ()).table().to_reader())
    for number, wakes in ((1, 1), (1, 2), (4, 1), (6, 2), (8, 3), (10, 4)):
        sleeper: Any = Sleeper(number, wakes)
        with pytest.raises(ConflictError, match="meanwhile"):
            step(number, sleeper)
        reader = FeatureReader(place.store, [(view, FINGERPRINT)], key_schema(view), fresh=["slept"])
        found = reader.read([(0,), (1,), (2,)], at=DAY)
        assert list(found.values["n"]) == [number + 1] * 3
        assert set(found.boundaries["slept"].tolist()) == {(number + 1) * SECOND}
        if number == 1:
            place.store.drop(tile_table(view.name, FINGERPRINT))


class Apart:
    """A store whose reads are whole for an entity alone: something happens between those of a read's rows."""

    is_one_state = False

    def __init__(self, store: OnlineStore, *, is_applied_first: bool) -> None:
        self._store = store
        self._is_applied_first = is_applied_first
        self.between: Callable[[], object] = lambda: None

    def read(self, tables: Sequence[str], keys: Sequence[Sequence[bytes]]) -> list[list[bytes | None]]:
        own = list(keys[0])
        early = [key for key in own if (key == APPLIED) is self._is_applied_first]
        held = dict(zip(early, self._store.read(tables, [early])[0], strict=True))
        between, self.between = self.between, lambda: None
        between()
        late = [key for key in own if key not in held]
        held.update(zip(late, self._store.read(tables, [late])[0], strict=True))
        return [[held[key] for key in own]]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.mark.parametrize("is_applied_first", [True, False])
def test_rows_that_are_older_than_what_is_applied_are_not_taken_for_its_own(
    place: Place, is_applied_first: bool
) -> None:
    table = f"sources/apart_{is_applied_first}"
    view = WindowedAggregate(
        f"apart_{is_applied_first}", Relation(table, "at", SCHEMA), ("customer",), Step(SECOND), 0,
        (AggregateSpec("n", AggregateKind.COUNT, DataType.INT64, None, None),),
    )  # fmt: skip
    row = dict.fromkeys((*SCHEMA.names, "known", "seq"), None)

    def step(number: int) -> None:
        world = World(({**row, "customer": 1, "ts": 0, "known": number * SECOND, "seq": number},), ())
        place.tables.append(table, world.table().to_reader())
        made = Freshener(view, FINGERPRINT, engine=place.engine, tables=place.tables, store=place.store)
        assert made.step(number * SECOND, 0).boundary == number * SECOND

    apart: Any = Apart(place.store, is_applied_first=is_applied_first)
    reader = FeatureReader(apart, [(view, FINGERPRINT)], key_schema(view), fresh=[view.name])
    step(1)
    for number in range(2, 6):
        apart.between = partial(step, number)
        found = reader.one({"customer": 1}, at=DAY)
        assert found.boundaries[view.name] == found.values["n"] * SECOND
        assert found.values["n"] == number
    assert reader.one({"customer": 2}, at=DAY).is_missing[view.name]
    tiles = tile_table(view.name, FINGERPRINT)
    apart.between = partial(drop_tiles, place.store, tiles, place.store.mark(tiles))
    with pytest.raises(UnavailableError, match="built anew"):
        reader.one({"customer": 1}, at=DAY)


def test_before_the_first_step_nothing_is_read(place: Place) -> None:
    view = WindowedAggregate(
        "unbuilt", Relation("sources/unbuilt", "at", SCHEMA), ("customer",), Step(SECOND), 0,
        (AggregateSpec("n", AggregateKind.COUNT, DataType.INT64, None, None),),
    )  # fmt: skip
    reader = FeatureReader(place.store, [(view, FINGERPRINT)], key_schema(view), fresh=["unbuilt"])
    with pytest.raises(UnavailableError, match="inseam freshen unbuilt"):
        reader.one({"customer": 1})
