"""Endpoints: what is served, and what an unknown entity gets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from inseam.define.declaration import DURATION, Declaration, frozen_mapping
from inseam.define.model import Model
from inseam.kernel.errors import Problem
from inseam.kernel.names import did_you_mean

_POLICIES = ("missing", "default", "reject")
_WHILE_AWAY = ("fail", "stale", "default")


@dataclass(frozen=True, eq=False)
class Endpoint(Declaration):
    """A model behind HTTP. Its request schema follows from the model: entity keys and the inputs of the request.

    ``unknown``: an entity without online rows gets NULL features (``missing``), ``defaults`` (``default``) or a 404
    (``reject``). ``unavailable``: while the online store does not answer, requests get a 503 (``fail``); what this
    server read lately, each value under its own boundary, and a 503 without that (``stale``); or ``defaults`` and NULL
    (``default``). Rows older than ``max_staleness`` are marked stale; by default any that is not of the newest
    boundary is.

    >>> from inseam import Entity, FeatureView, Label, Source, TrainingSet, count, model, snapshots
    >>> customer = Entity("customer", key="customer_id")
    >>> orders = Source("orders", "orders.csv", timestamp="ordered_at")
    >>> spend = FeatureView("spend", orders, customer, every="1d", features={"n": count(over="30d")})
    >>> will_lapse = TrainingSet("will_lapse", spine=snapshots(customer, every="7d", active="90d"),
    ...                          features=[spend], label=Label(count(orders) == 0, ahead="60d"))
    >>> @model("lapse", will_lapse, metric="roc_auc")
    ... def train(data, params):
    ...     from sklearn.ensemble import HistGradientBoostingClassifier
    ...     return HistGradientBoostingClassifier(**params).fit(data.X, data.y)
    >>> Endpoint("lapse", train, unknown="reject").unknown
    'reject'
    """

    KIND: ClassVar[str] = "endpoint"
    name: str
    model: Model
    unknown: str = field(default="missing", kw_only=True)
    unavailable: str = field(default="fail", kw_only=True)
    defaults: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    max_rows: int = field(default=1_000, kw_only=True)
    max_staleness: str | None = field(default=None, kw_only=True, metadata=DURATION)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("defaults", frozen_mapping(self.defaults))

    def upstream(self) -> tuple[Declaration, ...]:
        return (self.model,)

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        yield from self.duration_problem("max_staleness", self.max_staleness)
        if self.unknown not in _POLICIES:
            yield self.problem("choice-invalid", f"unknown is {self.unknown!r}", expected=", ".join(_POLICIES))
        if self.unavailable not in _WHILE_AWAY:
            yield self.problem(
                "choice-invalid", f"unavailable is {self.unavailable!r}", expected=", ".join(_WHILE_AWAY)
            )
        if self.max_rows < 1:
            yield self.problem("choice-invalid", f"max_rows is {self.max_rows}", expected="at least 1")
        features = {name for use in self.model.training_set.uses for name in use.features}
        for name in self.defaults:
            if name not in features:
                yield self.problem(
                    "feature-unknown",
                    f"defaults names {name!r}",
                    expected="a feature of the model's views",
                    mend=did_you_mean(str(name), features),
                )
        if self.defaults and "default" not in (self.unknown, self.unavailable):
            yield self.problem(
                "defaults-unused",
                f"it has defaults, unknown is {self.unknown!r} and unavailable is {self.unavailable!r}",
                mend='write unknown="default" or unavailable="default", or leave the defaults out',
            )
