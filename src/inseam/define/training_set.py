"""Training sets: a spine, features at its instants, and a label that looks ahead."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from inseam.define.aggregate import Aggregate, Comparison
from inseam.define.declaration import Declaration, expect, tuple_of
from inseam.define.entity import Entity
from inseam.define.feature_view import FeatureUse, FeatureView
from inseam.define.on_demand import OnDemand
from inseam.define.source import Rows
from inseam.kernel.clock import parse_duration, parse_instant
from inseam.kernel.errors import Problem


@dataclass(frozen=True, eq=False)
class Snapshots:
    """Each entity at each whole multiple of ``every`` at which it was active. Made by `snapshots`."""

    entity: Entity
    every: str
    active: str | None = None
    rows: Rows | None = None
    start: str | None = None
    end: str | None = None
    timezone: str | None = None


@dataclass(frozen=True, eq=False)
class SpineRows:
    """The rows of a source, each at its own instant. Made by `rows`."""

    rows: Rows
    entities: tuple[Entity, ...]
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class SpineTable:
    """A file of rows that the user brings. Made by `table`."""

    path: str
    entities: tuple[Entity, ...]
    timestamp: str
    columns: tuple[str, ...] = ()


SpineDeclaration = Snapshots | SpineRows | SpineTable


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
    """
    return Snapshots(entity, every, active, rows, start, end, timezone)


def rows(source: Rows, *entities: Entity, columns: tuple[str, ...] | list[str] | str = ()) -> SpineRows:
    """Each row of a source at its own instant; ``columns`` are carried along, as the request will bring them."""
    return SpineRows(source, entities, tuple_of(columns))


def table(path: str, *entities: Entity, timestamp: str, columns: tuple[str, ...] | list[str] | str = ()) -> SpineTable:
    """Each row of a Parquet or CSV file, with its keys and its instant; ``columns`` are carried along."""
    return SpineTable(path, entities, timestamp, tuple_of(columns))


@dataclass(frozen=True, eq=False)
class Label:
    """What is to be predicted: an aggregate over ``[t, t + ahead)``, or a ``column`` that the spine carries.

    >>> orders = Source("orders", "orders.csv", timestamp="ordered_at")
    >>> from inseam.define.aggregate import count
    >>> Label(count(orders) == 0, ahead="60d").comparison.compare
    '=='
    """

    value: Aggregate | Comparison | None = None
    ahead: str | None = field(default=None, kw_only=True)
    column: str | None = field(default=None, kw_only=True)

    @property
    def aggregate(self) -> Aggregate | None:
        return self.value.aggregate if isinstance(self.value, Comparison) else self.value

    @property
    def comparison(self) -> Comparison | None:
        return self.value if isinstance(self.value, Comparison) else None


@dataclass(frozen=True, eq=False)
class Split:
    """Where the test rows begin: at an ISO instant, a duration before the end, or a share of the span of instants."""

    at: str | None = None
    test: str | None = None
    fraction: float = 0.2


FeatureSet = FeatureView | FeatureUse | OnDemand


@dataclass(frozen=True, eq=False)
class TrainingSet(Declaration):
    """Rows to learn from. ``features`` are views, parts of views, on-demand features, or names of carried columns."""

    KIND: ClassVar[str] = "training_set"
    name: str
    spine: SpineDeclaration = field(kw_only=True)
    features: tuple[FeatureSet | str, ...] | list[FeatureSet | str] = field(kw_only=True)
    label: Label = field(kw_only=True)
    split: Split = field(default_factory=Split, kw_only=True)

    def __post_init__(self) -> None:
        subject = f"training_set:{self.name}"
        self._set("features", tuple_of(self.features))
        expect(self.spine, (Snapshots, SpineRows, SpineTable), subject, "the spine")
        expect(self.label, Label, subject, "the label")
        for feature in self.features:
            expect(feature, (FeatureView, FeatureUse, OnDemand, str), subject, "a feature")
        super().__post_init__()

    @property
    def uses(self) -> tuple[FeatureUse, ...]:
        """The views that are used, each once, in order; on-demand features bring those that they read."""
        chosen: dict[str, tuple[FeatureView, dict[str, None]]] = {}

        def add(view: FeatureView, names: tuple[str, ...]) -> None:
            chosen.setdefault(view.name, (view, {}))[1].update(dict.fromkeys(names))

        for feature in self.features:
            if isinstance(feature, FeatureView):
                add(feature, feature.names)
            elif isinstance(feature, FeatureUse):
                add(feature.view, feature.features)
        for item in self.on_demand:
            for view in item.views:
                if isinstance(view, FeatureView):
                    add(view, tuple(name for name in view.names if name in item.parameters))
        return tuple(FeatureUse(view, tuple(names)) for view, names in chosen.values())

    @property
    def on_demand(self) -> tuple[OnDemand, ...]:
        """On-demand features in the order in which they can be computed."""
        found: dict[str, OnDemand] = {}

        def add(item: OnDemand) -> None:
            for view in item.views:
                if isinstance(view, OnDemand):
                    add(view)
            found.setdefault(item.name, item)

        for feature in self.features:
            if isinstance(feature, OnDemand):
                add(feature)
        return tuple(found.values())

    @property
    def carried(self) -> tuple[str, ...]:
        return self.spine.columns if isinstance(self.spine, SpineRows | SpineTable) else ()

    @property
    def entities(self) -> tuple[Entity, ...]:
        return (self.spine.entity,) if isinstance(self.spine, Snapshots) else self.spine.entities

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(key for entity in self.entities for key in entity.keys))

    @property
    def activity(self) -> Rows | None:
        """Whose rows put an entity on the grid of snapshots."""
        if not isinstance(self.spine, Snapshots):
            return None
        if self.spine.rows is not None:
            return self.spine.rows
        label = self.label.aggregate
        if label is not None and label.rows is not None:
            return label.rows
        return self.uses[0].view.rows if self.uses else None

    def upstream(self) -> tuple[Declaration, ...]:
        found: list[Declaration] = [*self.entities, *(use.view for use in self.uses), *self.on_demand]
        label = self.label.aggregate
        if isinstance(self.spine, SpineRows):
            found.append(self.spine.rows)
        if self.activity is not None:
            found.append(self.activity)
        if label is not None and label.rows is not None:
            found.append(label.rows)
        return tuple({id(item): item for item in found}.values())

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        yield from self._feature_problems()
        yield from self._spine_problems()
        yield from self._label_problems()
        if not 0 < self.split.fraction < 1:
            yield self.problem(
                "split-invalid", f"the test fraction is {self.split.fraction}", expected="between 0 and 1"
            )
        yield from self.duration_problem("the split's test", self.split.test)
        yield from self._instant_problems("the split's at", self.split.at)

    def _feature_problems(self) -> Iterator[Problem]:
        if not self.features:
            yield self.problem("features-missing", "it has no features", mend="add features=[...]")
        owners: dict[str, str] = {}
        for use in self.uses:
            yield from use.problems(self)
            for name in use.features:
                if name in owners and owners[name] != use.view.name:
                    yield self.problem(
                        "feature-duplicate",
                        f"{owners[name]} and {use.view.name} both bring a feature {name!r}",
                        mend="rename one, or select the features to use",
                    )
                owners[name] = use.view.name
        for item in self.on_demand:
            for name in item.inputs:
                if name not in self.carried:
                    yield self.problem(
                        "input-missing",
                        f"{item.ref} needs {name!r}, which the spine does not carry",
                        expected=f"a spine with columns={name!r}",
                        mend=f'use rows(source, entity, columns=["{name}"]), or let a view compute it',
                    )
        for feature in self.features:
            if isinstance(feature, str) and feature not in self.carried:
                yield self.problem(
                    "feature-unknown", f"it uses the column {feature!r}", expected="a column that the spine carries"
                )
        for use in self.uses:
            missing = [key for key in use.view.entity.keys if key not in self.keys]
            if missing:
                yield self.problem(
                    "key-missing",
                    f"the spine has no {', '.join(missing)}, the key of {use.view.ref}",
                    expected=f"a spine with the entity {use.view.entity.name!r}",
                )

    def _spine_problems(self) -> Iterator[Problem]:
        if isinstance(self.spine, Snapshots):
            yield from self.duration_problem("the spine's every", self.spine.every)
            yield from self.duration_problem("the spine's active", self.spine.active)
            yield from self._instant_problems("the spine's start", self.spine.start)
            yield from self._instant_problems("the spine's end", self.spine.end)
            if self.spine.every in ("0s", "0d"):
                yield self.problem("every-zero", "snapshots every 0s", expected="a step such as 1d or 7d")
            if self.activity is None:
                yield self.problem(
                    "rows-missing", "nothing says whose rows make an entity active", mend="add rows=... to snapshots"
                )
        elif not self.spine.entities:
            yield self.problem(
                "key-missing", "the spine names no entity", mend="add the entity: rows(orders, customer)"
            )

    def _label_problems(self) -> Iterator[Problem]:
        label, aggregate = self.label, self.label.aggregate
        if (aggregate is None) == (label.column is None):
            yield self.problem(
                "label-unclear", "the label is neither an aggregate nor a column, or both", expected="one of them"
            )
            return
        if label.column is not None and label.column not in self.carried:
            yield self.problem(
                "column-unknown", f"the label is column {label.column!r}", expected="a column that the spine carries"
            )
        if aggregate is None:
            return
        if aggregate.over is not None or aggregate.ttl is not None:
            yield self.problem(
                "label-looks-backwards",
                f"the label is {aggregate}",
                expected="an aggregate over the time ahead",
                mend='leave over and ttl out and write Label(..., ahead="60d")',
            )
        if aggregate.rows is None:
            yield self.problem(
                "rows-missing",
                f"the label {aggregate} names no rows",
                mend=f"write {aggregate.kind.value}(..., orders)",
            )
        if label.ahead is None:
            yield self.problem("ahead-missing", "the label does not say how far ahead it looks", mend='add ahead="60d"')
        else:
            yield from self.duration_problem("the label's ahead", label.ahead)
            if label.ahead in ("0s", "0d"):
                yield self.problem("window-empty", "the label looks ahead over no time", expected="a longer window")

    def _instant_problems(self, what: str, text: Any) -> Iterator[Problem]:
        if text is None:
            return
        try:
            parse_instant(text)
        except (ValueError, TypeError):
            yield self.problem(
                "instant-invalid", f"{what} is {text!r}", expected="an ISO 8601 instant such as 2024-06-01"
            )


def microseconds(text: str | None) -> int | None:
    return None if text is None else parse_duration(text)
