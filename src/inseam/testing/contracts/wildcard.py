"""What a wildcard spine is on every engine: each row once for every member that a view names for it at its instant."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from inseam.ir.aggregates import AggregateKind, AggregateSpec
from inseam.ir.relation import Relation
from inseam.ir.spine import RowsSpine, SnapshotsSpine, Spine, WildcardSpine
from inseam.ir.windows import EVENT_TIME, WindowedAggregate
from inseam.kernel.clock import DAY, HOUR, MINUTE, Step, from_datetime
from inseam.kernel.types import DataType
from inseam.ports.rows import Rows
from inseam.ports.wildcard import spine_rows
from inseam.testing import oracle
from inseam.testing.contracts.engine import Opener, drawn, fresh, stored
from inseam.testing.worlds import SCHEMA, World, question, worlds

_MEMBER = "member"
_STEP = 3 * HOUR


class WildcardContract:
    """Needs a fixture ``opener`` -> `Opener`."""

    def test_a_wildcard_stands_for_each_member_of_a_row(self, opener: Opener) -> None:
        rows, world, members = _numbered(opener)
        assert rows.schema.names == ["customer", "colour", EVENT_TIME, "pieces"]
        found = rows.reader().read_all().to_pylist()
        expected = _unfolded(world, _rows(world), members)
        assert len(expected) > 100
        assert [(row["customer"], row["colour"], from_datetime(row[EVENT_TIME])) for row in found] == expected
        assert [row["pieces"] for row in found] == [t // HOUR for _, _, t in expected]


class DrawnWildcardContract(WildcardContract):
    """The same of drawn rows and members, and what joins them: for engines on which that costs little."""

    def test_features_of_both_join_its_rows(self, opener: Opener) -> None:
        rows, world, members = _numbered(opener)
        count = AggregateSpec("n", AggregateKind.COUNT, DataType.INT64)
        pairs = WindowedAggregate("pairs", members.relation, ("customer", "colour"), Step(0), 0, (count,))
        engine, _ = opener("600MB")
        found = engine.features(rows, [pairs]).reader().read_all()
        told = [
            oracle.value([r for r in world.rows if (r["customer"], r["colour"]) == (k, w)], question(pairs, count), t)
            for k, w, t in _unfolded(world, _rows(world), members)
        ]
        assert found["n"].to_pylist() == told and min(told) > 0

    @settings(drawn, max_examples=8)
    @given(data=st.data(), world=worlds(most=30, least=10))
    def test_members_are_the_different_values_at_the_rows_own_instant(
        self, opener: Opener, data: st.DataObject, world: World
    ) -> None:
        name = fresh()
        engine, tables = opener("600MB")
        stored(tables, world, name)
        relation = Relation(name, "at", SCHEMA)
        column = data.draw(st.sampled_from(["colour", "pieces", "is_gift", "due", "sent"]))
        kinds = data.draw(
            st.lists(st.sampled_from([AggregateKind.LAST_N, AggregateKind.TOP_K]), min_size=1, max_size=4)
        )
        ranked = [_ranked(kind, column, data.draw(st.integers(1, 4)), place) for place, kind in enumerate(kinds)]
        members = _view(relation, data.draw(st.sampled_from(["customer", "shop"])), ranked)
        (key,) = members.keys
        spine: Spine = RowsSpine(relation, members.keys)
        within = _rows(world, key)
        if data.draw(st.booleans()):
            start = min((t for _, t in within), default=0)
            spine = SnapshotsSpine(relation, members.keys, Step(_STEP), DAY, start, start + 4 * DAY)
            grid = oracle.snapshots(world.rows, members.keys, _STEP, None, DAY, start, start + 4 * DAY)
            within = [(k, t) for t, k in grid]
        found = spine_rows(engine, WildcardSpine(spine, members, _MEMBER)).reader().read_all()
        told = [tuple(map(_plain, row.values())) for row in found.select([key, _MEMBER, EVENT_TIME]).to_pylist()]
        assert told == _unfolded(world, within, members)


def _unfolded(world: World, rows: Sequence[tuple[Any, int]], members: WindowedAggregate) -> list[tuple[Any, ...]]:
    """(key, member, instant) in plain Python, row by row."""
    (key,) = members.keys
    found = []
    for value, t in rows:
        own = [row for row in world.rows if row[key] == value]
        cells = [oracle.value(own, question(members, spec), t) for spec in members.aggregates]
        different: list[Any] = []
        for cell in cells:
            if cell is not None and cell not in different:
                different.append(cell)
        found += [(value, member, t) for member in different]
    return found


def _rows(world: World, key: str = "customer") -> list[tuple[Any, int]]:
    """The key and the instant of each row that has both, as a spine of rows has them."""
    held = [row for row in world.rows if row[key] is not None and row["ts"] is not None]
    return [(row[key], row["ts"]) for row in sorted(held, key=lambda row: (row["ts"], row["seq"]))]


def _view(relation: Relation, key: str, members: Sequence[AggregateSpec]) -> WindowedAggregate:
    return WindowedAggregate("members", relation, (key,), Step(HOUR), 10 * MINUTE, tuple(members))


def _ranked(kind: AggregateKind, column: str, rank: int, place: int = 0) -> AggregateSpec:
    type_ = SCHEMA.type_of(column) or DataType.STRING
    return AggregateSpec(f"{column}_{kind.value}_{place}_{rank}", kind, type_, column, 2 * DAY, rank=rank)


def _numbered(opener: Opener) -> tuple[Rows, World, WindowedAggregate]:
    """The last colours of a world's customers, as rows, with their pieces carried along."""
    name, world = fresh(), _world(90)
    engine, tables = opener("600MB")
    stored(tables, world, name)
    relation = Relation(name, "at", SCHEMA)
    members = _view(relation, "customer", [_ranked(AggregateKind.LAST_N, "colour", rank) for rank in (1, 2, 3)])
    spine = WildcardSpine(RowsSpine(relation, ("customer",), ("pieces",)), members, "colour")
    return spine_rows(engine, spine), world, members


def _world(count: int) -> World:
    """Rows an hour apart, numbered by ``pieces``, of four customers by turns, whose colours come again, or are none."""
    colours = ["red", None, "blue", "red", "ärmel", "", "blue"]
    cells = dict.fromkeys(SCHEMA.names) | {"known": None}
    rows = [
        {**cells, "customer": n % 4, "colour": colours[n % 7], "pieces": n, "ts": n * HOUR, "at": n * HOUR, "seq": n}
        for n in range(count)
    ]
    return World(tuple(rows), ())


def _plain(value: Any) -> Any:
    return from_datetime(value) if isinstance(value, datetime) else value
