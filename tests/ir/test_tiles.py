"""Tiles give the values of TIME.md at every boundary from the one that they were folded for on, with no new write."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inseam.ir import sketch, tile_fold
from inseam.ir.aggregates import DERIVED, AggregateSpec
from inseam.ir.aggregates import AggregateKind as Kind
from inseam.ir.derived import core, finished
from inseam.ir.relation import Relation
from inseam.ir.tile_fold import Heads, Rows, fold, touched
from inseam.ir.tile_lift import UNKNOWN, lift
from inseam.ir.tile_measure import FAMILIES
from inseam.ir.tile_read import TileWindows
from inseam.ir.tiles import TileLayout
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.clock import DAY, HOUR, MINUTE, SECOND, Step
from inseam.kernel.types import DataType
from inseam.testing import oracle
from inseam.testing.contracts.engine import assert_same
from inseam.testing.worlds import CONDITIONS, SCHEMA, World, question, views, worlds


class Held:
    """What a store would hold of one view's entities, with the steps that wrote it."""

    def __init__(self, view: WindowedAggregate) -> None:
        self.view = view
        self.layout = TileLayout.of(view)
        self.heads: dict[Any, bytes] = {}
        self.chunks: dict[tuple[Any, int], bytes] = {}

    def step(self, rows: list[oracle.Row], boundary: int) -> None:
        """Fold these rows, as of a boundary."""
        rows = [row for row in rows if None not in self.key(row) and row["ts"] is not None]
        keys = list(dict.fromkeys(self.key(row) for row in rows))
        numbers = np.array([keys.index(self.key(row)) for row in rows], np.int64)
        heads = Heads(self.layout, [self.heads.get(key) for key in keys])
        new = Rows(numbers, integers(rows, "ts", 0), self.lifted(rows))
        asked = touched(self.layout, heads, new, boundary)
        chunks = {place: self.chunks.get((keys[place[0]], place[1])) for place in asked}
        folded = fold(self.layout, heads, chunks, new, boundary, 3)
        self.heads.update(zip(keys, folded.heads, strict=True))
        for (entity, start), body in folded.chunks.items():
            self.chunks.pop((keys[entity], start), None)
            if body is not None:
                self.chunks[keys[entity], start] = body

    def lifted(self, rows: list[oracle.Row]) -> Any:
        columns = {
            field.name: pa.array([row["ts"] if field.name == "at" else row[field.name] for row in rows], field.type)
            for field in SCHEMA.to_arrow()
        }
        conditions = {text: np.array([test(row) is True for row in rows], bool) for text, test in CONDITIONS.items()}
        place = {
            "ts": integers(rows, "ts", 0),
            "known": integers(rows, "known", UNKNOWN),
            "seq": integers(rows, "seq", 0),
        }
        return lift(self.layout, columns, conditions, place)

    def key(self, row: oracle.Row) -> tuple[Any, ...]:
        return tuple(row[name] for name in self.view.keys)

    def values(self, key: tuple[Any, ...], boundary: int) -> dict[str, Any]:
        windows = TileWindows(self.view, self.layout)
        chunks = {start: self.chunks.get((key, start)) for start in windows.chunks(boundary)}
        found = windows.values(self.heads[key], chunks, boundary)
        columns = {field.name: pa.array([found[field.name]], field.type) for field in core(self.view).schema.to_arrow()}
        made = finished(self.view, columns, np.array([boundary]))
        return {name: column.to_pylist()[0] for name, column in made.items()}


def integers(rows: list[oracle.Row], name: str, null: int) -> np.ndarray:
    return np.array([null if row[name] is None else row[name] for row in rows], np.int64)


def held_at(view: WindowedAggregate, rows: tuple[oracle.Row, ...], steps: list[int]) -> Held:
    """Rows that are known at each step, folded step by step; history comes with the first."""
    held = Held(view)
    before = None
    for boundary in steps:
        known = boundary + view.lag
        new = [
            row
            for row in rows
            if (row["known"] is None and before is None)
            or (row["known"] is not None and (before is None or row["known"] > before) and row["known"] <= known)
        ]
        held.step(new, boundary)
        before = known
    return held


def assert_values(held: Held, rows: tuple[oracle.Row, ...], boundary: int) -> None:
    """At a boundary at which everything known by then has been folded."""
    for key in held.heads:
        found = held.values(key, boundary)
        own = [row for row in rows if held.key(row) == key]
        for spec in held.view.aggregates:
            expected = oracle.value(own, question(held.view, spec), boundary + held.view.lag)
            assert_same([found[spec.name]], [expected], f"{spec} of {key} at {boundary}")


@pytest.mark.parametrize("inline", [0, 3, 64])
@settings(deadline=None, max_examples=60)
@given(data=st.data(), world=worlds())
def test_drawn_views_at_drawn_steps(inline: int, data: st.DataObject, world: World) -> None:
    view = data.draw(views("sources/rows", labels=False, kinds=(*FAMILIES, *DERIVED)))
    instants = sorted({row["ts"] or 0 for row in world.rows} | {read["t"] for read in world.reads} | {0})
    steps = sorted({view.boundary(t) for t in data.draw(st.lists(st.sampled_from(instants), min_size=1, max_size=4))})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tile_fold, "INLINE", inline)
        patch.setattr(sketch, "MOST", 3)
        patch.setattr(oracle, "HASHES", 3)
        held = held_at(view, world.rows, steps)
        known = tuple(row for row in world.rows if row["known"] is None or row["known"] <= steps[-1] + view.lag)
        assert_values(held, known, steps[-1])
        # Windows expire with nobody writing.
        for later in (1, HOUR, DAY, 3 * DAY, 9 * DAY):
            assert_values(held, known, view.step.floor(steps[-1] + later))


def dense(kind: Kind, column: str, type_: str, over: int | None, **more: Any) -> AggregateSpec:
    return AggregateSpec(f"{kind}_{column}_{over}", kind, DataType(type_), column, over, **more)


def test_many_rows_in_two_levels_that_move_out_of_the_windows() -> None:
    overs = (10 * SECOND, 17 * MINUTE, HOUR, None)
    specs = tuple(
        spec
        for over in overs
        for spec in (
            dense(Kind.SUM, "amount", "float64", over),
            dense(Kind.STD, "amount", "float64", over),
            dense(Kind.LAST, "colour", "string", over),
            dense(Kind.MIN, "colour", "string", over),
            dense(Kind.DISTINCT, "colour", "int64", over),
            dense(Kind.QUANTILE, "amount", "float64", over, quantile=0.3),
        )
    )
    view = WindowedAggregate("dense", Relation("sources/rows", "at", SCHEMA), ("customer",), Step(SECOND), 0, specs)
    rng = np.random.default_rng(5)
    rows: tuple[dict[str, Any], ...] = tuple(
        {
            "customer": int(rng.integers(2)),
            "amount": 1e9 + float(rng.normal()), "colour": "rgb"[int(rng.integers(3))],
            "ts": int(t), "known": int(t + rng.integers(20 * MINUTE) * (rng.random() < 0.1)), "seq": int(t),
            "pieces": 1, "shop": "", "is_gift": True, "due": None, "sent": None,
        }
        for t in np.sort(rng.integers(0, 3 * HOUR, 3_000))
    )  # fmt: skip
    held = held_at(view, rows, [m * MINUTE for m in (50, 51, 52, 100, 150, 170, 181)])

    known = tuple(row for row in rows if row["known"] <= 181 * MINUTE)
    assert len(held.chunks) > 200, "tiles that no window reaches are let go of"
    assert len(held.chunks) < 800
    for instant in (181 * MINUTE, 181 * MINUTE + 7 * SECOND, 230 * MINUTE, 5 * HOUR):
        assert_values(held, known, instant)
