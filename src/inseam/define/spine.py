"""Spines as users write them: the rows to learn from or to score, with their instants."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from inseam.define.declaration import DURATION, INSTANT, Declaration, duration, instant, tuple_of
from inseam.define.entity import Entity
from inseam.define.expect import expect_types
from inseam.define.rows import Rows
from inseam.kernel.clock import DAY
from inseam.kernel.errors import Problem


@dataclass(frozen=True, eq=False)
class Snapshots:
    """Each entity at each whole multiple of ``every`` at which it was active. Made by `snapshots`."""

    entity: Entity
    every: str = field(metadata=DURATION)
    active: str | None = field(default=None, metadata=DURATION)
    rows: Rows | None = None
    start: str | None = field(default=None, metadata=INSTANT)
    end: str | None = field(default=None, metadata=INSTANT)
    timezone: str | None = None

    def __post_init__(self) -> None:
        expect_types(self, "snapshots")

    @property
    def entities(self) -> tuple[Entity, ...]:
        return (self.entity,)

    @property
    def columns(self) -> tuple[str, ...]:
        """A grid carries no columns: nothing happened at its instants."""
        return ()

    def problems(self, user: Declaration) -> Iterator[Problem]:
        """Mistakes of the grid; ``user`` is the training set that it belongs to."""
        for what, text in (("every", self.every), ("active", self.active)):
            yield from user.duration_problem(f"the spine's {what}", text)
            if duration(text) == 0:
                yield user.problem("window-empty", f"the spine's {what} is {text}", expected="such as 1d or 7d")
        for what, text in (("start", self.start), ("end", self.end)):
            yield from user.instant_problem(f"the spine's {what}", text)
        yield from user.timezone_problem(self.timezone)
        every = duration(self.every)
        if self.timezone is not None and every is not None and every % DAY:
            yield user.problem(
                "every-not-days",
                f"the spine steps by {self.every!r} in a named zone",
                expected="whole days, such as 1d",
            )
        start, end = instant(self.start), instant(self.end)
        if start is not None and end is not None and start >= end:
            yield user.problem(
                "window-empty", f"the spine starts at {self.start} and ends at {self.end}", expected="an end after it"
            )


@dataclass(frozen=True, eq=False)
class SpineRows:
    """The rows of a source, each at its own instant. Made by `rows`."""

    rows: Rows
    entities: tuple[Entity, ...]
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        expect_types(self, "rows")

    def problems(self, user: Declaration) -> Iterator[Problem]:
        if not self.entities:
            yield user.problem(
                "key-missing", "the spine names no entity", mend="add the entity: rows(orders, customer)"
            )


@dataclass(frozen=True, eq=False)
class SpineTable:
    """A file of rows that the user brings. Made by `table`."""

    path: str
    entities: tuple[Entity, ...]
    timestamp: str
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        expect_types(self, "table")

    def problems(self, user: Declaration) -> Iterator[Problem]:
        if not self.entities:
            yield user.problem(
                "key-missing", "the spine names no entity", mend='add the entity: table("rows.csv", customer, ...)'
            )


PlainSpine = Snapshots | SpineRows | SpineTable


def snapshots(
    entity: Entity,
    *,
    every: str,
    active: str | None = None,
    rows: Rows | None = None,
    start: str | None = None,
    end: str | None = None,
    timezone: str | None = None,
) -> Snapshots:
    """A grid: each entity that had a row within ``active`` before the instant, at each whole multiple of ``every``.

    ``rows`` says whose rows count as activity; left out: those of the label, or of the first view. ``start`` and
    ``end`` are ISO instants.

    >>> snapshots(Entity("customer", key="customer_id"), every="7d", active="180d").every
    '7d'
    """
    return Snapshots(entity, every, active, rows, start, end, timezone)


def rows(source: Rows, *entities: Entity, columns: tuple[str, ...] | list[str] | str = ()) -> SpineRows:
    """Each row of a source at its own instant; ``columns`` are carried along, as the request will bring them.

    >>> from inseam import Source
    >>> orders = Source("orders", "orders.csv", timestamp="ordered_at")
    >>> rows(orders, Entity("customer", key="customer_id"), columns=["amount", "channel"]).columns
    ('amount', 'channel')
    """
    return SpineRows(source, entities, tuple_of(columns))


def table(path: str, *entities: Entity, timestamp: str, columns: tuple[str, ...] | list[str] | str = ()) -> SpineTable:
    """Each row of a Parquet or CSV file, with its keys and its instant; ``columns`` are carried along.

    >>> table("asked.csv", Entity("customer", key="customer_id"), timestamp="asked_at").path
    'asked.csv'
    """
    return SpineTable(path, entities, timestamp, tuple_of(columns))
