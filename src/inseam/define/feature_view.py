"""Feature views: a set of aggregates of one entity over one source, stepping together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar
from zoneinfo import ZoneInfo

from inseam.define.aggregate import Aggregate
from inseam.define.declaration import Declaration, expect
from inseam.define.entity import Entity
from inseam.define.source import Rows, Source, Transform
from inseam.ir.aggregates import ALGEBRA
from inseam.kernel.clock import DAY, parse_duration
from inseam.kernel.errors import Problem
from inseam.kernel.names import did_you_mean, is_name


@dataclass(frozen=True, eq=False)
class FeatureView(Declaration):
    """Features of an entity. Values change only at whole multiples of ``every`` and are readable ``lag`` later.

    ``every="0s"`` is continuous. With a ``timezone``, whole days begin at local midnight. ``ttl`` bounds the age of
    features without a window.

    >>> orders = Source("orders", "orders.csv", timestamp="ordered_at")
    >>> customer = Entity("customer", key="customer_id")
    >>> spend = FeatureView("spend", orders, customer, every="1d", features={"n": Aggregate(AggregateKind.COUNT)})
    >>> spend["n"].feature
    'n'
    """

    KIND: ClassVar[str] = "feature_view"
    name: str
    rows: Rows
    entity: Entity
    every: str = field(kw_only=True)
    features: Mapping[str, Aggregate] = field(kw_only=True)
    lag: str = field(default="0s", kw_only=True)
    ttl: str | None = field(default=None, kw_only=True)
    timezone: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        expect(self.rows, (Source, Transform), f"feature_view:{self.name}", "what it reads")
        expect(self.entity, Entity, f"feature_view:{self.name}", "the entity")
        expect(self.features, Mapping, f"feature_view:{self.name}", "features")
        super().__post_init__()

    def __getitem__(self, feature: str) -> FeatureUse:
        return self.select(feature)

    def select(self, *features: str) -> FeatureUse:
        """Some of the view's features, for a training set."""
        return FeatureUse(self, features)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.features)

    def upstream(self) -> tuple[Declaration, ...]:
        return (self.rows, self.entity)

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        for what, text in (("every", self.every), ("lag", self.lag), ("ttl", self.ttl)):
            yield from self.duration_problem(what, text)
        yield from self._timezone_problems()
        if not self.features:
            yield self.problem(
                "features-missing", "it has no features", mend='add features={"name": count(over="30d")}'
            )
        for name, aggregate in self.features.items():
            yield from self._feature_problems(name, aggregate)

    def _timezone_problems(self) -> Iterator[Problem]:
        if self.timezone is None:
            return
        try:
            ZoneInfo(self.timezone)
        except (KeyError, ValueError, OSError):
            yield self.problem(
                "timezone-unknown", f"the time zone is {self.timezone!r}", expected="a name such as Europe/Berlin"
            )
        every = _duration(self.every)
        if every is not None and (every == 0 or every % DAY):
            yield self.problem(
                "every-not-days", f"every is {self.every!r} in a named zone", expected="whole days, such as 1d"
            )

    def _feature_problems(self, name: str, aggregate: Aggregate) -> Iterator[Problem]:
        if not isinstance(aggregate, Aggregate):
            yield self.problem(
                "feature-invalid",
                f"feature {name!r} is {aggregate!r}",
                expected='an aggregate such as count(over="30d")',
            )
            return
        if not is_name(name):
            yield self.problem(
                "name-invalid", f"feature {name!r}", expected="lower-case letters, digits and _, a letter first"
            )
        if aggregate.rows is not None:
            yield self.problem(
                "feature-has-rows",
                f"feature {name!r} names its rows",
                expected="the view's own rows; only labels name theirs",
                mend=f"write {aggregate.kind.value}({aggregate.column!r}, ...)"
                if aggregate.column
                else "leave the rows out",
            )
        if aggregate.over is not None and aggregate.ttl is not None:
            yield self.problem("window-unclear", f"feature {name!r} has both over and ttl", expected="one of them")
        if aggregate.q is not None and not 0 <= aggregate.q <= 1:
            yield self.problem(
                "quantile-invalid", f"feature {name!r} asks for quantile {aggregate.q}", expected="0 to 1"
            )
        if aggregate.column is None and ALGEBRA[aggregate.kind].needs_column:
            yield self.problem("column-missing", f"feature {name!r}: {aggregate.kind.value} names no column")
        for what in ("over", "ttl"):
            yield from self._window_problems(name, what, getattr(aggregate, what))

    def _window_problems(self, name: str, what: str, text: str | None) -> Iterator[Problem]:
        if text is None:
            return
        yield from self.duration_problem(f"{what} of feature {name!r}", text)
        window, every = _duration(text), _duration(self.every)
        if window is None or every is None:
            return
        if window == 0:
            yield self.problem("window-empty", f"feature {name!r} looks back over {text}", expected="a longer window")
        elif every and window % every:
            yield self.problem(
                "window-not-multiple",
                f"feature {name!r} looks back over {text}, no multiple of every={self.every!r}",
                expected=f"a whole multiple of {self.every}",
                mend=f"change the window, or let the view step by a divisor of {text}",
            )


def _duration(text: str | None) -> int | None:
    try:
        return None if text is None else parse_duration(text)
    except (ValueError, TypeError):
        return None


@dataclass(frozen=True, eq=False)
class FeatureUse:
    """Some features of a view."""

    view: FeatureView
    features: tuple[str, ...]

    @property
    def feature(self) -> str:
        return self.features[0]

    def problems(self, user: Declaration) -> Iterator[Problem]:
        for feature in self.features:
            if feature not in self.view.features:
                yield user.problem(
                    "feature-unknown",
                    f"it uses {self.view.name}[{feature!r}]",
                    expected=f"a feature of {self.view.ref}",
                    mend=did_you_mean(feature, self.view.features),
                )
