"""Small worlds drawn by Hypothesis, in which everything that TIME.md speaks of happens often: equal instants, NULLs,
late rows, rows on boundaries, gaps, loads that came twice, leap days, and clocks that change at midnight."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from inseam.ir.aggregates import ALGEBRA, DERIVED, AggregateKind, AggregateSpec, result_type
from inseam.ir.relation import INGESTED_AT, SEQUENCE, Joined, Relation, Upserts
from inseam.ir.windows import EVENT_TIME, WindowedAggregate
from inseam.kernel.clock import DAY, HOUR, MINUTE, Step, parse_instant
from inseam.kernel.types import DataType, Schema
from inseam.testing.oracle import Question, Row, corrected, joined

SCHEMA = Schema.of(
    (
        ("customer", DataType.INT64),
        ("shop", DataType.STRING),
        ("at", DataType.TIMESTAMP),
        ("amount", DataType.FLOAT64),
        ("pieces", DataType.INT64),
        ("colour", DataType.STRING),
        ("is_gift", DataType.BOOL),
        ("due", DataType.DATE),
        ("sent", DataType.TIMESTAMP),
    )
)
STORED = Schema.of((*((f.name, f.type) for f in SCHEMA), (INGESTED_AT, DataType.TIMESTAMP), (SEQUENCE, DataType.INT64)))

CONDITIONS: Mapping[str, Callable[[Row], bool | None]] = {
    "pieces > 1": lambda row: None if row["pieces"] is None else row["pieces"] > 1,
    # In SQL's logic of three values OR is true where either side is; it need not tell false from NULL here.
    "colour = 'red' OR is_gift": lambda row: row["colour"] == "red" or row["is_gift"],
    "amount IS NULL": lambda row: row["amount"] is None,
}

# Around a leap day in Europe, a midnight that Brazil skipped, one that it had twice, and the epoch itself.
_CENTRES = ("2024-02-29T00:00Z", "2024-03-31T01:00Z", "2018-11-04T03:00Z", "2018-02-18T02:00Z", "1970-01-01T00:00Z")
_KEYS: tuple[tuple[str, ...], ...] = (("customer",), ("shop",), ("customer", "shop"), ("is_gift",), ("due", "customer"))
_DEFAULTS: Mapping[tuple[str, ...], tuple[str | int | bool, ...]] = {
    ("customer",): (1,),
    ("shop",): ("a",),
    ("customer", "shop"): (-7, "a"),
    ("is_gift",): (True,),
}
_OVERS = (None, 1, HOUR, DAY, 2 * DAY + HOUR, 7 * DAY)
_CELLS: Mapping[str, st.SearchStrategy[Any]] = {
    "customer": st.sampled_from([None, -7, 1, 2]),
    "shop": st.sampled_from([None, "", "a", "é"]),
    "amount": st.none() | st.floats(-1e6, 1e6).map(lambda x: round(x, 2)) | st.sampled_from([0.1, 0.2, 0.3, 1e9]),
    "pieces": st.none() | st.integers(-3, 3) | st.sampled_from([2**53 + 1]),
    "colour": st.sampled_from([None, "red", "blue", "", "ärmel"]),
    "is_gift": st.sampled_from([None, True, False]),
    "due": st.none() | st.dates(date(2024, 2, 28), date(2024, 3, 1)),
}


@dataclass(frozen=True)
class World:
    """Rows in the order of their loads (with ``ts``, ``known`` and ``seq`` as the oracle reads them), and reads."""

    rows: tuple[Row, ...]
    reads: tuple[Row, ...]
    """Spine rows: ``t``, ``customer``, ``shop``, ``is_gift``, ``due``."""

    def table(self) -> pa.Table:
        return _table([_stored(row) for row in self.rows], STORED)

    def spine(self, keys: tuple[str, ...]) -> pa.Table:
        """A column ``number`` rides along, so that a lost order shows."""
        fields = [(key, SCHEMA.type_of(key) or DataType.STRING) for key in keys]
        schema = Schema.of((*fields, (EVENT_TIME, DataType.TIMESTAMP), ("number", DataType.INT64)))
        rows = [{**row, EVENT_TIME: moment(row["t"]), "number": n} for n, row in enumerate(self.reads)]
        return _table(rows, schema)


def moment(instant: int | None) -> datetime | None:
    return None if instant is None else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=instant)


def instants(centre: int) -> st.SearchStrategy[int]:
    """Mostly whole hours (so that many are equal, and many boundaries), some a microsecond off."""
    off = st.sampled_from([0, 0, 0, 1, -1, 30 * MINUTE, 59 * MINUTE + 1])
    return st.builds(lambda hours, by: centre + hours * HOUR + by, st.integers(-90, 90), off)


@st.composite
def worlds(draw: st.DrawFn, most: int = 30, least: int = 0) -> World:
    """Of ``least`` to ``most`` rows and reads, some rows twice."""
    centre = parse_instant(draw(st.sampled_from(_CENTRES)))
    instant = instants(centre)
    cells = st.fixed_dictionaries({**_CELLS, "sent": st.none() | instant, "ts": st.none() | instant})
    late = st.none() | st.sampled_from([-HOUR, 0, 1, MINUTE, HOUR, DAY, 3 * DAY])
    drawn = draw(st.lists(st.tuples(cells, late), min_size=least, max_size=most))
    rows: list[dict[str, Any]] = []
    for cell, by in drawn:
        known = None if by is None or cell["ts"] is None else cell["ts"] + by
        rows.append({**cell, "at": cell["ts"], "known": known})
    is_loaded_twice = draw(st.booleans())
    if rows and is_loaded_twice:
        rows += rows[: draw(st.integers(0, len(rows)))]
    order = list(range(len(rows)))
    if draw(st.booleans()):
        order.reverse()
    numbered = tuple({**row, "seq": 1 << 40 | seq} for row, seq in zip(rows, order, strict=True))
    key = st.fixed_dictionaries({name: _CELLS[name] for name in ("customer", "shop", "is_gift", "due")})
    reads = draw(st.lists(st.builds(lambda k, t: {**k, "t": t}, key, instant), min_size=min(least, 12), max_size=12))
    return World(numbered, tuple(reads))


UPSERTS = st.builds(
    Upserts,
    st.sampled_from([("customer",), ("shop", "colour"), ("pieces",), ("customer", "pieces")]),
    st.just("at"),
    st.none() | st.sampled_from(sorted(CONDITIONS)),
)


def with_corrections(world: World, upserts: Upserts) -> World:
    """The world as the oracle reads it where rows supersede each other."""
    deleted = None if upserts.deleted is None else CONDITIONS[upserts.deleted]
    return World(tuple(corrected(world.rows, upserts.key, deleted)), world.reads)


_WHERES = st.none() | st.sampled_from(sorted(CONDITIONS))
_STEPS = (Step(0), Step(HOUR), Step(DAY), Step(7 * DAY), Step(DAY, "Europe/Berlin"), Step(2 * DAY, "America/Sao_Paulo"))


_QUANTILES = (AggregateKind.QUANTILE, AggregateKind.APPROX_QUANTILE)
_EXTREMES = {AggregateKind.TIME_SINCE_FIRST: AggregateKind.MIN, AggregateKind.TIME_SINCE_LAST: AggregateKind.MAX}


@st.composite
def specs(draw: st.DrawFn, name: str, kinds: tuple[AggregateKind, ...] = tuple(AggregateKind)) -> AggregateSpec:
    kind = draw(st.sampled_from(kinds))
    if kind in (AggregateKind.RATIO, AggregateKind.DIFFERENCE):
        plain = tuple(kind for kind in kinds if kind not in DERIVED)
        parts = tuple(draw(specs("part", plain).filter(lambda spec: spec.type.is_numeric)) for _ in range(2))
        return AggregateSpec(name, kind, DataType.FLOAT64, parts=parts)
    if kind in _EXTREMES:
        over, where = draw(st.sampled_from(_OVERS)), draw(_WHERES)
        newest = AggregateSpec("part", _EXTREMES[kind], DataType.TIMESTAMP, "at", over, where)
        return AggregateSpec(name, kind, DataType.FLOAT64, None, over, where, parts=(newest,))
    accepted = [field.name for field in SCHEMA if field.type in ALGEBRA[kind].accepts]
    columns: list[str | None] = [*accepted] if ALGEBRA[kind].needs_column else [None, *accepted]
    column = draw(st.sampled_from(columns))
    return AggregateSpec(
        name,
        kind,
        result_type(kind, None if column is None else SCHEMA.type_of(column)),
        column,
        draw(st.sampled_from(_OVERS)),
        draw(_WHERES),
        draw(st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0])) if kind in _QUANTILES else None,
        draw(st.sampled_from([1, 2, 3])) if kind in (AggregateKind.LAST_N, AggregateKind.TOP_K) else None,
    )


@st.composite
def views(
    draw: st.DrawFn,
    table: str,
    name: str = "view",
    *,
    labels: bool = True,
    defaults: bool = False,
    kinds: tuple[AggregateKind, ...] = tuple(AggregateKind),
) -> WindowedAggregate:
    """A view with one to four aggregates; now and then a label that looks ahead, or a view with a default entity."""
    count = draw(st.integers(1, 4))
    keys = draw(st.sampled_from(_KEYS))
    view = WindowedAggregate(
        name,
        Relation(table, "at", SCHEMA),
        keys,
        draw(st.sampled_from(_STEPS)),
        draw(st.sampled_from([0, 1, 10 * MINUTE, 2 * HOUR])),
        tuple(draw(specs(f"{name}_{number}", kinds)) for number in range(count)),
        draw(st.none() | st.none() | st.sampled_from([HOUR, 2 * DAY])) if labels else None,
    )
    default = draw(st.sampled_from([None, _DEFAULTS.get(keys)])) if defaults and view.forward is None else None
    return replace(view, default=default)


@dataclass(frozen=True)
class Read:
    """A relation, and its rows as the oracle reads them."""

    relation: Relation
    world: World


_ALIKE: Mapping[str, tuple[str, ...]] = {"customer": ("customer", "pieces"), "shop": ("shop", "colour")}
"""Columns that may hold a key."""


@st.composite
def joins(draw: st.DrawFn, relation: Relation, prefix: str) -> Joined:
    """A view of a relation, looked up by columns that may be called otherwise than its keys."""
    view = replace(draw(views(relation.table, labels=False)), relation=relation)
    on = tuple((key, draw(st.sampled_from(_ALIKE.get(key, (key,))))) for key in view.keys)
    return Joined(view, on, prefix)


def with_join(rows: Read, join: Joined, other: Read) -> Read:
    """The rows with what they join of the other ones."""
    questions = {join.prefix + spec.name: question(join.view, spec) for spec in join.view.aggregates}
    found = joined(rows.world.rows, other.world.rows, dict(join.on), questions)
    schema = Schema((*rows.relation.schema, *join.schema))
    relation = replace(rows.relation, schema=schema, joins=(*rows.relation.joins, join))
    return Read(relation, World(tuple(found), rows.world.reads))


def question(view: WindowedAggregate, spec: AggregateSpec) -> Question:
    """What the oracle is asked for one feature."""
    return Question(
        spec.kind.value,
        spec.column,
        spec.over,
        None if spec.where is None else CONDITIONS[spec.where],
        spec.quantile,
        view.step.microseconds,
        view.step.zone,
        view.lag,
        view.forward,
        spec.rank,
        tuple(question(view, part) for part in spec.parts),
    )


def _stored(row: Row) -> dict[str, Any]:
    return {
        **row,
        "at": moment(row["ts"]),
        "sent": moment(row["sent"]),
        INGESTED_AT: moment(row["known"]),
        SEQUENCE: row["seq"],
    }


def _table(rows: list[dict[str, Any]], schema: Schema) -> pa.Table:
    arrow = schema.to_arrow()
    return pa.table({field.name: pa.array([row[field.name] for row in rows], field.type) for field in arrow}, arrow)
