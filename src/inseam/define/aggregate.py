"""Aggregates as users write them: over past windows for features, over the time ahead for labels."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from inseam.define.declaration import DURATION, SQL, tuple_of
from inseam.define.expect import caller_place, expect_types
from inseam.define.rows import Rows
from inseam.ir.aggregates import AggregateKind
from inseam.kernel.errors import DefinitionError, Place
from inseam.kernel.frozen import METADATA, UNSAID


@dataclass(frozen=True)
class About:
    """What people should know of one feature; changing it recomputes nothing."""

    description: str = ""
    owner: str = ""
    tags: tuple[str, ...] = ()
    deprecated: str = ""

    def __post_init__(self) -> None:
        expect_types(self, "about")


@dataclass(frozen=True, eq=False)
class Aggregate:
    """One aggregate. Comparing it (``count(orders) == 0``) makes the yes-or-no of a label."""

    kind: AggregateKind
    column: str | None = None
    rows: Rows | None = None
    over: str | None = field(default=None, metadata=DURATION)
    where: str | None = field(default=None, metadata=SQL)
    ttl: str | None = field(default=None, metadata=DURATION)
    q: float | None = None
    of: tuple[str, ...] = field(default=(), metadata=UNSAID)
    """Of a ratio or difference: the features that it is taken of."""
    n: int | None = field(default=None, metadata=UNSAID)
    """Of `last_n` and `top_k`: how many features it makes of its name, until the view has made them."""
    rank: int | None = field(default=None, metadata=UNSAID)
    """Of one that was made: which it is, from 1."""
    place: Place | None = field(default=None, metadata=METADATA)
    noted: About = field(default=About(), metadata=METADATA)

    def __post_init__(self) -> None:
        expect_types(self, self.kind.value)

    def about(
        self, description: str = "", *, owner: str = "", tags: tuple[str, ...] | list[str] = (), deprecated: str = ""
    ) -> Aggregate:
        """The same feature with words for people: ``sum("amount", over="30d").about("...", deprecated="use x")``."""
        return replace(self, noted=About(description, owner, tuple_of(tags), deprecated))

    def __eq__(self, other: object) -> Comparison:  # type: ignore[override]
        return Comparison(self, "==", other)

    def __ne__(self, other: object) -> Comparison:  # type: ignore[override]
        return Comparison(self, "!=", other)

    def __lt__(self, other: object) -> Comparison:
        return Comparison(self, "<", other)

    def __le__(self, other: object) -> Comparison:
        return Comparison(self, "<=", other)

    def __gt__(self, other: object) -> Comparison:
        return Comparison(self, ">", other)

    def __ge__(self, other: object) -> Comparison:
        return Comparison(self, ">=", other)

    __hash__ = object.__hash__

    def __str__(self) -> str:
        parts = [part for part in (*self.of, self.column, f"over={self.over!r}" if self.over else "") if part]
        return f"{self.kind.value}({', '.join(parts)})"

    __repr__ = __str__


@dataclass(frozen=True, eq=False)
class Comparison:
    """``aggregate compare threshold``, for a label. It has no truth value of its own."""

    aggregate: Aggregate
    compare: str
    threshold: Any

    def __repr__(self) -> str:
        return f"{self.aggregate} {self.compare} {self.threshold!r}"

    def __bool__(self) -> bool:
        raise DefinitionError(
            str(self.aggregate),
            "an aggregate was compared where Python wants true or false",
            expected="a Label of it",
            place=caller_place(),
        )


def _made(kind: AggregateKind, column: str | None, rows: Rows | None, **options: Any) -> Aggregate:
    return Aggregate(kind, column, rows, place=caller_place(), **options)


def count(
    rows: Rows | str | None = None, column: str | None = None, *, over: str | None = None, where: str | None = None
) -> Aggregate:
    """How many rows; with a column: how many with a value in it. 0 over no row.

    >>> str(count(over="30d"))
    "count(over='30d')"
    """
    if isinstance(rows, str):
        rows, column = None, rows
    return _made(AggregateKind.COUNT, column, rows, over=over, where=where)


def sum(column: str, rows: Rows | None = None, *, over: str | None = None, where: str | None = None) -> Aggregate:
    """The sum of the values that are not NULL; NULL when there is none.

    >>> str(sum("amount", over="30d", where="is_paid"))
    "sum(amount, over='30d')"
    """
    return _made(AggregateKind.SUM, column, rows, over=over, where=where)


def mean(column: str, rows: Rows | None = None, *, over: str | None = None, where: str | None = None) -> Aggregate:
    """The mean of the values that are not NULL, as a float; NULL when there is none.

    >>> str(mean("amount", over="30d"))
    "mean(amount, over='30d')"
    """
    return _made(AggregateKind.MEAN, column, rows, over=over, where=where)


def min(column: str, rows: Rows | None = None, *, over: str | None = None, where: str | None = None) -> Aggregate:
    """The least value that is not NULL; NULL when there is none.

    >>> str(min("amount", over="30d"))
    "min(amount, over='30d')"
    """
    return _made(AggregateKind.MIN, column, rows, over=over, where=where)


def max(column: str, rows: Rows | None = None, *, over: str | None = None, where: str | None = None) -> Aggregate:
    """The greatest value that is not NULL; NULL when there is none.

    >>> str(max("amount", over="30d"))
    "max(amount, over='30d')"
    """
    return _made(AggregateKind.MAX, column, rows, over=over, where=where)


def std(column: str, rows: Rows | None = None, *, over: str | None = None, where: str | None = None) -> Aggregate:
    """The sample standard deviation (n - 1); NULL for fewer than two values.

    >>> str(std("amount", over="30d"))
    "std(amount, over='30d')"
    """
    return _made(AggregateKind.STD, column, rows, over=over, where=where)


def distinct(column: str, rows: Rows | None = None, *, over: str | None = None, where: str | None = None) -> Aggregate:
    """How many different values, exactly; 0 over no row.

    >>> str(distinct("store", over="365d"))
    "distinct(store, over='365d')"
    """
    return _made(AggregateKind.DISTINCT, column, rows, over=over, where=where)


def quantile(
    column: str, q: float, rows: Rows | None = None, *, over: str | None = None, where: str | None = None
) -> Aggregate:
    """The exact quantile ``q`` in [0, 1], interpolated linearly; NULL over no value.

    >>> quantile("amount", 0.5, over="90d").q
    0.5
    """
    return _made(AggregateKind.QUANTILE, column, rows, over=over, where=where, q=q)


def first(
    column: str,
    rows: Rows | None = None,
    *,
    over: str | None = None,
    where: str | None = None,
    ttl: str | None = None,
) -> Aggregate:
    """The cell of the oldest row, not older than ``ttl``; NULL over no row.

    >>> str(first("channel", over="365d"))
    "first(channel, over='365d')"
    """
    return _made(AggregateKind.FIRST, column, rows, over=over, where=where, ttl=ttl)


def last(
    column: str,
    rows: Rows | None = None,
    *,
    over: str | None = None,
    where: str | None = None,
    ttl: str | None = None,
) -> Aggregate:
    """The cell of the newest row, not older than ``ttl``; NULL over no row.

    >>> last("store", ttl="365d").ttl
    '365d'
    """
    return _made(AggregateKind.LAST, column, rows, over=over, where=where, ttl=ttl)


def last_n(
    column: str, n: int, rows: Rows | None = None, *, over: str | None = None, where: str | None = None
) -> Aggregate:
    """The cells of the newest ``n`` rows as features of their own, the newest first; NULL where there are fewer rows.

    ``"store": last_n("store", 2)`` makes ``store_1`` and ``store_2``; ``view["store"]`` names them all.

    >>> last_n("store", 2, over="365d").n
    2
    """
    return _made(AggregateKind.LAST_N, column, rows, over=over, where=where, n=n)


def top_k(
    column: str, k: int, rows: Rows | None = None, *, over: str | None = None, where: str | None = None
) -> Aggregate:
    """The ``k`` most frequent values as features of their own, of equally frequent ones the least first.

    ``"store": top_k("store", 2)`` makes ``store_1`` and ``store_2``; NULL where there are fewer values.

    >>> str(top_k("store", 2, over="365d"))
    "top_k(store, over='365d')"
    """
    return _made(AggregateKind.TOP_K, column, rows, over=over, where=where, n=k)


def approx_distinct(
    column: str, rows: Rows | None = None, *, over: str | None = None, where: str | None = None
) -> Aggregate:
    """About how many different values: exact below 1,024, then with a standard error of 3.1 %; 0 over no row.

    In tiles it keeps at most 8 KB, however many values there are.

    >>> str(approx_distinct("session", over="30d"))
    "approx_distinct(session, over='30d')"
    """
    return _made(AggregateKind.APPROX_DISTINCT, column, rows, over=over, where=where)


def approx_quantile(
    column: str, q: float, rows: Rows | None = None, *, over: str | None = None, where: str | None = None
) -> Aggregate:
    """A value within 0.4 % of the one at place ``q`` in [0, 1] of the ordered values; NULL over no value.

    In tiles it keeps a few hundred numbers, however many values there are.

    >>> approx_quantile("amount", 0.99, over="30d").q
    0.99
    """
    return _made(AggregateKind.APPROX_QUANTILE, column, rows, over=over, where=where, q=q)
