"""Training sets: a spine, features at its instants, and a label that looks ahead."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from inseam.define.declaration import Declaration, tuple_of
from inseam.define.entity import Entity, keys_of
from inseam.define.feature_view import RESERVED, FeatureUse, FeatureView
from inseam.define.label import Label, Split
from inseam.define.on_demand import OnDemand
from inseam.define.rows import Rows
from inseam.define.spine import PlainSpine, Snapshots, SpineRows, SpineTable, rows, snapshots, table
from inseam.define.wildcard import Wildcard, wildcard
from inseam.ir.windows import EVENT_TIME
from inseam.kernel.clock import parse_duration
from inseam.kernel.errors import Problem
from inseam.kernel.names import did_you_mean, nearest

__all__ = [
    "Label",
    "Snapshots",
    "SpineRows",
    "SpineTable",
    "Split",
    "TrainingSet",
    "Wildcard",
    "microseconds",
    "rows",
    "snapshots",
    "table",
    "wildcard",
]

FeatureSet = FeatureView | FeatureUse | OnDemand


@dataclass(frozen=True, eq=False)
class TrainingSet(Declaration):
    """Rows to learn from. ``features`` are views, parts of views, on-demand features, or names of carried columns.

    >>> from inseam import Entity, FeatureView, Label, Source, count, snapshots
    >>> customer = Entity("customer", key="customer_id")
    >>> orders = Source("orders", "orders.csv", timestamp="ordered_at")
    >>> spend = FeatureView("spend", orders, customer, every="1d", features={"n": count(over="30d")})
    >>> will_lapse = TrainingSet("will_lapse", spine=snapshots(customer, every="7d", active="90d"),
    ...                          features=[spend], label=Label(count(orders) == 0, ahead="60d"))
    >>> will_lapse.keys
    ('customer_id',)
    """

    KIND: ClassVar[str] = "training_set"
    name: str
    spine: PlainSpine | Wildcard = field(kw_only=True)
    features: tuple[FeatureSet | str, ...] | list[FeatureSet | str] = field(kw_only=True)
    label: Label = field(kw_only=True)
    split: Split = field(default_factory=Split, kw_only=True)

    def __post_init__(self) -> None:
        self._set("features", tuple_of(self.features))
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
    def reads(self) -> tuple[FeatureUse, ...]:
        """What it uses, and what names the members of its wildcard."""
        return (*self.uses, self.spine.members) if isinstance(self.spine, Wildcard) else self.uses

    @property
    def plain_spine(self) -> PlainSpine:
        """The spine without its wildcard."""
        return self.spine.within if isinstance(self.spine, Wildcard) else self.spine

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
        """Columns of the spine that come along, as the request will bring them."""
        return self.spine.columns

    @property
    def entities(self) -> tuple[Entity, ...]:
        return self.spine.entities

    @property
    def keys(self) -> tuple[str, ...]:
        return keys_of(self.entities)

    @property
    def activity(self) -> Rows | None:
        """Whose rows put an entity on the grid of snapshots."""
        spine = self.plain_spine
        if not isinstance(spine, Snapshots):
            return None
        if spine.rows is not None:
            return spine.rows
        label = self.label.aggregate
        if label is not None and label.rows is not None:
            return label.rows
        return self.uses[0].view.rows if self.uses else None

    def upstream(self) -> tuple[Declaration, ...]:
        found: list[Declaration] = [*self.entities, *(use.view for use in self.reads), *self.on_demand]
        label = self.label.aggregate
        if isinstance(self.plain_spine, SpineRows):
            found.append(self.plain_spine.rows)
        if self.activity is not None:
            found.append(self.activity)
        if label is not None and label.rows is not None:
            found.append(label.rows)
        return tuple({id(item): item for item in found}.values())

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        yield from self._feature_problems()
        yield from self._column_clashes()
        yield from self._carried_problems()
        yield from self._key_problems()
        yield from self.spine.problems(self)
        if isinstance(self.plain_spine, Snapshots) and self.activity is None:
            yield self.problem(
                "rows-missing", "nothing says whose rows make an entity active", mend="add rows=... to snapshots"
            )
        yield from self.label.problems(self)
        yield from self.split.problems(self)

    def _feature_problems(self) -> Iterator[Problem]:
        if not self.features:
            yield self.problem("features-missing", "it has no features", mend="add features=[...]")
        for use in self.uses:
            yield from use.problems(self)
        for feature in self.features:
            if isinstance(feature, str) and feature == self.label.column:
                yield self.problem(
                    "label-leaks", f"the label {feature!r} is also a feature", mend="take it out of the features"
                )
            elif isinstance(feature, str) and feature not in self.carried:
                yield self.problem(
                    "feature-unknown",
                    f"it uses the column {feature!r}",
                    expected="a column that the spine carries",
                    mend=did_you_mean(feature, self.carried) if self.carried else "carry it: columns=[...]",
                )

    def _column_clashes(self) -> Iterator[Problem]:
        """Everything that becomes a column of the training set needs a name of its own."""
        owners: dict[str, str] = dict.fromkeys(self.keys, "the key") | {EVENT_TIME: "every training set"}
        columns = [(name, str(use.view.ref)) for use in self.uses for name in dict.fromkeys(use.features)]
        columns += [(item.name, str(item.ref)) for item in self.on_demand]
        columns += [(name, "the spine") for name in dict.fromkeys(self.carried) if name != self.label.column]
        for name, owner in columns:
            if name in owners or name in RESERVED:
                yield self.problem(
                    "feature-duplicate",
                    f"{owners.get(name, 'every training set')} and {owner} both bring a column {name!r}",
                    mend="rename one, or select the features to use",
                )
            owners.setdefault(name, owner)

    def _carried_problems(self) -> Iterator[Problem]:
        if self.label.column is not None and self.label.column not in self.carried:
            yield self.problem(
                "column-unknown",
                f"the label is column {self.label.column!r}",
                expected="a column that the spine carries",
                mend=did_you_mean(self.label.column, self.carried) if self.carried else "carry it: columns=[...]",
            )
        for item in self.on_demand:
            for name in item.inputs:
                if name not in self.carried:
                    near = nearest(name, item.offered)
                    yield self.problem(
                        "input-missing",
                        f"{item.ref} needs {name!r}, which the spine does not carry",
                        expected=f"a spine with columns={name!r}, or a feature of that name",
                        mend=f"did you mean {near!r}?"
                        if near is not None
                        else f'use rows(source, entity, columns=["{name}"]), or let a view compute it',
                    )

    def _key_problems(self) -> Iterator[Problem]:
        for use in self.uses:
            missing = [key for key in use.view.entity.keys if key not in self.keys]
            if missing:
                yield self.problem(
                    "key-missing",
                    f"the spine has no {', '.join(missing)}, the key of {use.view.ref}",
                    expected=f"a spine with the entity {use.view.entity.name!r}",
                )


def microseconds(text: str | None) -> int | None:
    return None if text is None else parse_duration(text)
