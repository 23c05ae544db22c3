"""Examples: rows that are given and values that are expected, written beside what they are an example of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from inseam.define.declaration import INSTANT, Declaration, frozen_mapping, tuple_of
from inseam.define.feature_view import FeatureView
from inseam.define.join import Join, sources_of
from inseam.define.on_demand import OnDemand
from inseam.define.source import Source
from inseam.define.training_set import TrainingSet
from inseam.define.transform import Transform
from inseam.ir.training import LABEL
from inseam.kernel.errors import Problem
from inseam.kernel.names import did_you_mean

Exemplified = FeatureView | Transform | Join | OnDemand | TrainingSet


@dataclass(frozen=True, eq=False)
class Example(Declaration):
    """A case that `inseam test` runs on the environment's engine. It changes no fingerprint and reads no table.

    ``given``: rows in the order in which they came, each a dict; columns left out are NULL, instants are ISO texts, and
    ``_ingested_at`` says when a row was known (left out: since it happened). For several sources a dict of them by
    source. ``expect``: values by name; what is left out is not looked at.

    - of a view: the features of ``entity`` (left out: the one that the rows are of) when read ``at`` an instant;
    - of a training set: also on-demand features, and ``label``; ``carried`` are the columns that its spine brings;
    - of a transform or a join: ``expect`` is a list, a dict for each row that is left;
    - of an on-demand feature: ``given`` is a dict of its parameters and ``expect`` the value.

    >>> from inseam import Entity, FeatureView, Source, count
    >>> customer = Entity("customer", key="customer_id")
    >>> orders = Source("orders", "orders.csv", timestamp="ordered_at")
    >>> spend = FeatureView("spend", orders, customer, every="1d", features={"n": count(over="30d")})
    >>> Example(spend, given=[{"customer_id": 7, "ordered_at": "2024-04-20"}], at="2024-05-01", expect={"n": 1}).title
    'spend at 2024-05-01'
    """

    KIND: ClassVar[str] = "example"
    of: Exemplified
    given: Mapping[str, Any] | list[Any] | tuple[Any, ...] = field(default=(), kw_only=True)
    expect: Any = field(kw_only=True)
    at: str | None = field(default=None, kw_only=True, metadata=INSTANT)
    entity: Any = field(default=None, kw_only=True)
    carried: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    name: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("carried", frozen_mapping(self.carried))

    @property
    def title(self) -> str:
        """What it is called in reports."""
        return self.name or (self.of.name if self.at is None else f"{self.of.name} at {self.at}")

    @property
    def sources(self) -> tuple[Source, ...]:
        """The sources whose rows it may give."""
        found = {source.name: source for source in _sources(self.of)}
        return tuple(found.values())

    @property
    def rows(self) -> dict[str, tuple[Mapping[str, Any], ...]]:
        """The given rows by source; a source that is not named has none."""
        names = [source.name for source in self.sources]
        if isinstance(self.given, Mapping):
            return {name: tuple_of(self.given.get(name, ())) for name in names}
        return dict.fromkeys(names, ()) | {name: tuple(self.given) for name in names[:1]}

    def upstream(self) -> tuple[Declaration, ...]:
        return (self.of,)

    def problem(self, code: str, found: str, *, expected: str = "", mend: str = "", place: Any = None) -> Problem:
        return Problem(code, f"example:{self.title}", found, expected, mend, place or self.place)

    def problems(self) -> Iterator[Problem]:
        """Mistakes of the example itself; whether its values are right is seen when it runs."""
        yield from self.instant_problem("at", self.at)
        if isinstance(self.of, OnDemand):
            yield from self._parameter_problems(self.of)
            return
        yield from self._given_problems()
        if isinstance(self.of, Transform | Join):
            if not isinstance(self.expect, list | tuple) or not all(isinstance(row, Mapping) for row in self.expect):
                yield self.problem("value-invalid", f"expect is {self.expect!r}", expected="a list of rows [{...}]")
            return
        if self.at is None:
            yield self.problem("instant-missing", "it does not say when it reads", mend='add at="2024-05-01"')
        if not isinstance(self.expect, Mapping):
            yield self.problem("value-invalid", f"expect is {self.expect!r}", expected="values by name: {...}")
            return
        known = _values_of(self.of)
        for name in self.expect:
            if name not in known:
                yield self.problem(
                    "feature-unknown",
                    f"it expects a value of {name!r}",
                    expected=f"a feature of {self.of.ref}",
                    mend=did_you_mean(str(name), known),
                )

    def _given_problems(self) -> Iterator[Problem]:
        names = [source.name for source in self.sources]
        if isinstance(self.given, Mapping):
            for name in self.given:
                if name not in names:
                    yield self.problem(
                        "source-unknown",
                        f"it gives rows of {name!r}",
                        expected=f"a source of {self.of.ref}",
                        mend=did_you_mean(str(name), names),
                    )
        elif len(names) > 1 and self.given:
            yield self.problem(
                "source-unclear",
                f"it gives rows, and {self.of.ref} reads {', '.join(names)}",
                mend=f'say whose: given={{"{names[0]}": [...]}}',
            )
        for name, rows in self.rows.items():
            for row in rows:
                if not isinstance(row, Mapping):
                    yield self.problem("value-invalid", f"a row of {name} is {row!r}", expected="a dict by column")

    def _parameter_problems(self, of: OnDemand) -> Iterator[Problem]:
        if not isinstance(self.given, Mapping):
            yield self.problem("value-invalid", f"given is {self.given!r}", expected="its parameters by name: {...}")
            return
        for name in (*of.parameters, *self.given):
            if (name in of.parameters) != (name in self.given):
                yield self.problem(
                    "parameter-missing" if name in of.parameters else "parameter-unknown",
                    f"{name!r} is {'not given' if name in of.parameters else 'no parameter of the function'}",
                    expected=f"values of {', '.join(of.parameters)}",
                )
        if of.takes_event_time and self.at is None:
            yield self.problem("instant-missing", "the function takes event_time", mend='add at="2024-05-01"')


def _sources(of: Exemplified) -> Iterator[Source]:
    if isinstance(of, Transform | Join):
        yield from sources_of(of)
    elif isinstance(of, FeatureView):
        yield from sources_of(of.rows)
    elif isinstance(of, TrainingSet):
        label = of.label.aggregate
        for use in of.uses:
            yield from sources_of(use.view.rows)
        if label is not None and label.rows is not None:
            yield from sources_of(label.rows)


def _values_of(of: FeatureView | TrainingSet) -> tuple[str, ...]:
    """What may be expected of it."""
    if isinstance(of, FeatureView):
        return of.names
    return (*(name for use in of.uses for name in use.features), *(item.name for item in of.on_demand), LABEL)
