"""Transforms: the rows of a source, reshaped one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from inseam.define.declaration import SQL, Declaration
from inseam.define.rows import Rows
from inseam.kernel.errors import Problem

if TYPE_CHECKING:
    from inseam.define.join import Join
    from inseam.define.source import Source


@dataclass(frozen=True, eq=False)
class Transform(Rows):
    """A source's rows, reshaped one by one: filtered, with columns added, renamed or computed.

    ``sql`` is a SELECT from the source's name; or use the decorator `transform` on a function of an Ibis table. A row
    stays a row: no grouping, joins or windows, for those would look across time. Columns that come from elsewhere are
    given to the rows first, by a `Join`, whose source's name the SELECT then reads.

    >>> from inseam import Source
    >>> orders = Source("orders", "orders.csv", timestamp="ordered_at")
    >>> paid = Transform("paid", orders, sql="SELECT *, quantity * price AS amount FROM orders WHERE is_paid")
    >>> paid.timestamp
    'ordered_at'
    """

    KIND: ClassVar[str] = "transform"
    name: str
    source: Rows
    sql: str | None = field(default=None, kw_only=True, metadata=SQL)
    function: Callable[..., Any] | None = field(default=None, kw_only=True)
    timestamp: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.timestamp:
            self._set("timestamp", self.source.timestamp)

    @property
    def base(self) -> Source:
        return self.source.base

    @property
    def joins(self) -> tuple[Join, ...]:
        return self.source.joins

    def upstream(self) -> tuple[Declaration, ...]:
        return (self.source,)

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        if isinstance(self.source, Transform):
            yield self.problem(
                "transform-nested", f"it reshapes {self.source.ref}", expected="a source or a join", mend="make it one"
            )
        if self.joins and self.timestamp != self.source.timestamp:
            yield self.problem(
                "timestamp-moved",
                f"its rows are at {self.timestamp!r}, and what they joined is as it was at {self.source.timestamp!r}",
                expected=f"timestamp={self.source.timestamp!r}: at another instant it might not have been known",
            )
        if (self.sql is None) == (self.function is None):
            yield self.problem(
                "transform-unclear", "it has neither sql nor a function, or both", expected="one of them"
            )
        if self.function is not None:
            yield from self.signature_problem(self.function, 1, "one Ibis table")


def transform(
    name: str,
    source: Rows,
    *,
    timestamp: str = "",
    owner: str = "",
    tags: tuple[str, ...] = (),
    deprecated: str = "",
) -> Callable[[Callable[..., Any]], Transform]:
    """Declare a transform by a function from an Ibis table to an Ibis table.

    >>> from inseam import Source
    >>> orders = Source("orders", "orders.csv", timestamp="ordered_at")
    >>> @transform("paid", orders)
    ... def paid(rows):
    ...     return rows.filter(rows.is_paid).mutate(amount=rows.quantity * rows.price)
    >>> paid.timestamp
    'ordered_at'
    """

    def declare(function: Callable[..., Any]) -> Transform:
        return Transform(
            name,
            source,
            function=function,
            timestamp=timestamp,
            owner=owner,
            tags=tags,
            deprecated=deprecated,
            description=(function.__doc__ or "").strip(),
        )

    return declare
