"""Feature views: a set of aggregates of one entity over one source, stepping together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, TypeAlias

from inseam.define.aggregate import Aggregate
from inseam.define.declaration import DURATION, Declaration, duration, frozen_mapping, tuple_of
from inseam.define.entity import Entity
from inseam.define.rows import Rows
from inseam.ir.aggregates import ALGEBRA, DERIVED
from inseam.ir.tile_measure import FAMILIES
from inseam.ir.training import LABEL, PART
from inseam.ir.windows import EVENT_TIME
from inseam.kernel.clock import DAY
from inseam.kernel.errors import Place, Problem
from inseam.kernel.frozen import UNSAID
from inseam.kernel.names import did_you_mean, is_name

_MOST = 64
"""How many features one `last_n` or `top_k` may make."""
RESERVED = (EVENT_TIME, LABEL, PART)
"""Columns of every training set: no feature may have their names."""


Cell: TypeAlias = str | int | bool
"""A part of a key."""


@dataclass(frozen=True, eq=False)
class FeatureView(Declaration):
    """Features of an entity. Values change only at whole multiples of ``every`` and are readable ``lag`` later.

    ``every="0s"`` is continuous. With a ``timezone``, whole days begin at local midnight. ``ttl`` bounds the age of
    features without a window. ``default`` is the key of an entity: one of which the view knows no row yet has its
    values, offline and online.

    >>> from inseam import Source, count
    >>> orders = Source("orders", "orders.csv", timestamp="ordered_at")
    >>> customer = Entity("customer", key="customer_id")
    >>> spend = FeatureView("spend", orders, customer, every="1d", features={"n": count(over="30d")})
    >>> spend["n"].feature
    'n'
    """

    KIND: ClassVar[str] = "feature_view"
    name: str
    rows: Rows
    entity: Entity
    every: str = field(kw_only=True, metadata=DURATION)
    features: Mapping[str, Aggregate] = field(kw_only=True)
    lag: str = field(default="0s", kw_only=True, metadata=DURATION)
    ttl: str | None = field(default=None, kw_only=True, metadata=DURATION)
    timezone: str | None = field(default=None, kw_only=True)
    default: tuple[Cell, ...] | Cell | None = field(default=None, kw_only=True, metadata=UNSAID)

    def __post_init__(self) -> None:
        self._set("default", None if self.default is None else tuple_of(self.default))
        super().__post_init__()
        self._set("features", frozen_mapping(_single(self.features)))

    def __getitem__(self, feature: str) -> FeatureUse:
        return self.select(feature)

    def select(self, *features: str) -> FeatureUse:
        """Some of the view's features, for a training set. The name of a `last_n` or `top_k` stands for all it made."""
        return FeatureUse(self, tuple(made for name in features for made in self._made(name)))

    def _made(self, name: str) -> list[str]:
        found = [feature for feature, a in self.features.items() if a.rank and feature == f"{name}_{a.rank}"]
        return found or [name]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.features)

    @property
    def default_key(self) -> tuple[Cell, ...]:
        """The default as a key; nothing where there is none."""
        return tuple_of(self.default)

    @property
    def is_continuous(self) -> bool:
        """Every instant is a boundary: it has no materialized rows."""
        return duration(self.every) == 0

    @property
    def is_fresh(self) -> bool:
        """Online it is kept in tiles: its rows are a stream's, and its features have states that merge.

        Otherwise its values are materialized, boundary by boundary. So are those of joined rows: when a row comes, what
        it joins may still be on its way, and tiles take nothing back. And so are those of a view with a default, which
        an entity has until a row of its own counts.
        """
        mergeable = (*FAMILIES, *DERIVED)
        is_mergeable = all(isinstance(a, Aggregate) and a.kind in mergeable for a in self.features.values())
        return self.rows.base.stream and not self.rows.joins and self.default is None and is_mergeable

    def meaning(self) -> dict[str, Any]:
        """The features' order counts: online rows and a model's columns are laid out in it."""
        return super().meaning() | {"order": list(self.features)}

    def upstream(self) -> tuple[Declaration, ...]:
        return (self.rows, self.entity)

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        for what, text in (("every", self.every), ("lag", self.lag), ("ttl", self.ttl)):
            yield from self.duration_problem(what, text)
        yield from self._timezone_problems()
        yield from self._window_problems("its values may be as old as", self.ttl)
        if self.default is not None and len(self.default_key) != len(self.entity.keys):
            yield self.problem(
                "default-misfits",
                f"its default is {self.default!r}",
                expected=f"a key of {self.entity.ref}: {', '.join(self.entity.keys)}",
            )
        if not self.features:
            yield self.problem(
                "features-missing", "it has no features", mend='add features={"name": count(over="30d")}'
            )
        for name, aggregate in self.features.items():
            yield from self._feature_problems(name, aggregate)

    def _timezone_problems(self) -> Iterator[Problem]:
        yield from self.timezone_problem(self.timezone)
        every = duration(self.every)
        if self.timezone is not None and every is not None and (every == 0 or every % DAY):
            yield self.problem(
                "every-not-days", f"every is {self.every!r} in a named zone", expected="whole days, such as 1d"
            )

    def _feature_problems(self, name: str, aggregate: Aggregate) -> Iterator[Problem]:
        place = aggregate.place
        yield from self._name_problems(name, place)
        if aggregate.rows is not None:
            shown = f"({aggregate.column!r}, ...)" if aggregate.column else "(...)"
            yield self.problem(
                "feature-has-rows",
                f"feature {name!r} names its rows",
                expected="the view's own rows; only labels name theirs",
                mend=f"write {aggregate.kind.value}{shown}",
                place=place,
            )
        if aggregate.over is not None and aggregate.ttl is not None:
            yield self.problem(
                "window-unclear", f"feature {name!r} has both over and ttl", expected="one of them", place=place
            )
        yield from aggregate_problems(self, f"feature {name!r}", aggregate)
        yield from self._operand_problems(name, aggregate)
        yield from self._several_problems(name, aggregate)
        for what, text in (("looks back over", aggregate.over), ("may be as old as", aggregate.ttl)):
            yield from self.duration_problem(f"what feature {name!r} {what}", text, place)
            yield from self._window_problems(f"feature {name!r} {what}", text, place)

    def _several_problems(self, name: str, aggregate: Aggregate) -> Iterator[Problem]:
        """Why features were not made."""
        if aggregate.n is None:
            return
        what = f"feature {name!r} is a {aggregate.kind.value}"
        if not 1 <= aggregate.n <= _MOST:
            yield self.problem(
                "count-invalid", f"{what} of {aggregate.n}", expected=f"1 to {_MOST}", place=aggregate.place
            )
        else:
            yield self.problem(
                "name-duplicate",
                f"{what} that makes {name}_1 and so on, of which the view declares one",
                mend="rename one of the two",
                place=aggregate.place,
            )

    def _operand_problems(self, name: str, aggregate: Aggregate) -> Iterator[Problem]:
        """What a ratio or difference is taken of is declared before it: so no feature is computed of itself."""
        before = self.names[: self.names.index(name)]
        for operand in aggregate.of:
            if operand not in before:
                yield self.problem(
                    "feature-unknown",
                    f"feature {name!r} is the {aggregate.kind.value} of {operand!r}",
                    expected="features that the view declares before it",
                    mend=f"declare {operand!r} first" if operand in self.features else did_you_mean(operand, before),
                    place=aggregate.place,
                )

    def _name_problems(self, name: str, place: Place | None) -> Iterator[Problem]:
        if not is_name(name):
            yield self.problem(
                "name-invalid",
                f"a feature is called {name!r}",
                expected="lower-case letters, digits and _, a letter first",
                place=place,
            )
        elif name in RESERVED:
            yield self.problem(
                "name-reserved",
                f"a feature is called {name!r}, as a column of every training set is",
                mend="rename the feature",
                place=place,
            )

    def _window_problems(self, what: str, text: str | None, place: Place | None = None) -> Iterator[Problem]:
        window, every = duration(text), duration(self.every)
        if window is None or every is None:
            return
        if window == 0:
            yield self.problem("window-empty", f"{what} {text}", expected="a longer time", place=place)
        elif every and window % every:
            yield self.problem(
                "window-not-multiple",
                f"{what} {text}, no multiple of every={self.every!r}",
                expected=f"a whole multiple of {self.every}",
                mend=f"change the window, or let the view step by a divisor of {text}",
                place=place,
            )


def _single(features: Mapping[str, Aggregate]) -> Mapping[str, Aggregate]:
    """The features by name, each `last_n` and `top_k` as the features that it makes, where that can be."""
    found: dict[str, Aggregate] = {}
    for name, aggregate in features.items():
        count = aggregate.n if aggregate.n is not None and aggregate.n <= _MOST else 0
        made = {f"{name}_{rank}": replace(aggregate, n=None, rank=rank) for rank in range(1, count + 1)}
        found |= made if made and not made.keys() & features.keys() else {name: aggregate}
    return found


def aggregate_problems(user: Declaration, what: str, aggregate: Aggregate) -> Iterator[Problem]:
    """Mistakes of an aggregate, wherever it is used."""
    q, place = aggregate.q, aggregate.place
    if q is not None and not 0 <= q <= 1:
        yield user.problem("quantile-invalid", f"{what} asks for quantile {q!r}", expected="0 to 1", place=place)
    if aggregate.column is None and ALGEBRA[aggregate.kind].needs_column:
        yield user.problem("column-missing", f"{what}: {aggregate.kind.value} names no column", place=place)


@dataclass(frozen=True, eq=False)
class FeatureUse:
    """Some features of a view."""

    view: FeatureView
    features: tuple[str, ...]

    @property
    def feature(self) -> str:
        return self.features[0]

    def problems(self, user: Declaration) -> Iterator[Problem]:
        if not self.features:
            yield user.problem(
                "features-missing", f"it selects nothing of {self.view.ref}", mend="name the features to use"
            )
        for feature in self.features:
            if feature not in self.view.features:
                yield user.problem(
                    "feature-unknown",
                    f"it uses {self.view.name}[{feature!r}]",
                    expected=f"a feature of {self.view.ref}",
                    mend=did_you_mean(feature, self.view.features),
                )
