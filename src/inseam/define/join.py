"""Joins: the rows of a source with features of another entity, as they were at each row's own instant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from inseam.define.declaration import Declaration, frozen_mapping
from inseam.define.feature_view import FeatureUse, FeatureView
from inseam.define.rows import Rows
from inseam.define.source import Source
from inseam.define.transform import Transform
from inseam.kernel.errors import Problem
from inseam.kernel.names import is_name


@dataclass(frozen=True, eq=False)
class Join(Rows):
    """The rows of a source, each with features of another entity as they were at the row's own instant.

    ``features`` are a view or some of its features. ``on`` says which column of the rows holds each key of the view's
    entity (left out: the one of the same name); ``prefix`` is put before the names of the features. What is made of it
    is a source's rows with some columns more: a view aggregates them, a condition or a `Transform` reads them, and
    another join adds to them.

    >>> from inseam import Entity, FeatureView, Source, mean
    >>> lines = Source("lines", "lines.csv", timestamp="ordered_at")
    >>> product, customer = Entity("product", key="product_id"), Entity("customer", key="customer_id")
    >>> price = FeatureView("price", lines, product, every="1d", features={"usual_price": mean("paid", over="30d")})
    >>> priced = Join("priced_lines", lines, price)
    >>> taste = FeatureView("taste", priced, customer, every="1d",
    ...                     features={"usual_price_90d": mean("usual_price", over="90d")})
    >>> priced.columns
    {'usual_price': 'usual_price'}
    """

    KIND: ClassVar[str] = "join"
    name: str
    rows: Rows
    features: FeatureView | FeatureUse
    on: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    prefix: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("on", frozen_mapping(self.on))

    @property
    def timestamp(self) -> str:  # type: ignore[override]
        """The rows stay at their own instants."""
        return self.rows.timestamp

    @property
    def base(self) -> Source:
        return self.rows.base

    @property
    def joins(self) -> tuple[Join, ...]:
        return (*self.rows.joins, self)

    @property
    def view(self) -> FeatureView:
        return self.features.view if isinstance(self.features, FeatureUse) else self.features

    @property
    def columns(self) -> dict[str, str]:
        """The columns that the rows get, each with its feature."""
        names = self.features.features if isinstance(self.features, FeatureUse) else self.features.names
        return {self.prefix + name: name for name in names}

    @property
    def keys(self) -> dict[str, str]:
        """The column of the rows that holds each key of the view's entity."""
        return {key: self.on.get(key, key) for key in self.view.entity.keys}

    def upstream(self) -> tuple[Declaration, ...]:
        return (self.rows, self.view)

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        if isinstance(self.rows, Transform):
            yield self.problem(
                "transform-nested",
                f"its rows are {self.rows.ref}'s, reshaped already",
                expected="rows as they are stored",
                mend=f"join to {self.rows.source.ref}, and reshape what comes of it",
            )
        if isinstance(self.features, FeatureUse):
            yield from self.features.problems(self)
        for key in sorted(self.on.keys() - self.keys.keys()):
            yield self.problem(
                "key-unknown",
                f"on names {key!r}",
                expected=f"keys of {self.view.entity.ref}: {', '.join(self.keys)}",
            )
        if self.prefix and not is_name(self.prefix):
            yield self.problem(
                "name-invalid",
                f"the prefix is {self.prefix!r}",
                expected="lower-case letters, digits and _, a letter first",
            )


def sources_of(rows: Rows) -> tuple[Source, ...]:
    """Every source whose rows count: their own, then those of what is joined to them."""
    joined = (source for join in rows.joins for source in sources_of(join.view.rows))
    return tuple(dict.fromkeys((rows.base, *joined)))
