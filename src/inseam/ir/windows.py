"""TIME.md as data: the windowed aggregate and its instants. The one home of the rules that prevent leakage."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from inseam.ir.aggregates import AggregateSpec
from inseam.ir.relation import Relation
from inseam.kernel.clock import Step
from inseam.kernel.errors import DefinitionError
from inseam.kernel.frozen import UNSAID
from inseam.kernel.types import Field, Schema

EVENT_TIME = "event_time"
"""The spine's column that holds the instant t at which each row's values are read."""


@dataclass(frozen=True, slots=True)
class WindowedAggregate:
    """The values of one view at the instants of a spine: ``value(k, t)`` of TIME.md for each aggregate.

    ``keys`` are columns of the relation and of the spine alike. ``forward`` turns the windows to face the future:
    each aggregate then covers ``[t, t + forward)`` and rows count however late they came (a label is the truth,
    not what was known at the time).
    """

    name: str
    relation: Relation
    keys: tuple[str, ...]
    step: Step
    lag: int
    aggregates: tuple[AggregateSpec, ...]
    forward: int | None = None
    default: tuple[str | int | bool, ...] | None = field(default=None, metadata=UNSAID)
    """The key of the entity whose values those have of which no row is known at the boundary."""

    @property
    def schema(self) -> Schema:
        """The columns that this view adds to a spine."""
        return Schema(tuple(Field(a.name, a.type) for a in self.aggregates))

    @property
    def key_schema(self) -> Schema:
        """The keys as the relation has them; `DefinitionError` for one that is no column of it."""
        fields = {field.name: field for field in self.relation.schema}
        for key in self.keys:
            if key not in fields:
                raise DefinitionError(f"view {self.name!r}", f"its key {key!r} is no column of {self.relation.table}")
        return Schema(tuple(fields[key] for key in self.keys))

    def boundary(self, instant: int) -> int:
        """The boundary at which values read at ``instant`` are computed (for labels: the end of the window)."""
        if self.forward is not None:
            return instant + self.forward
        return self.step.boundary(instant, self.lag)

    def at(self, version: int) -> WindowedAggregate:
        """The same view over another snapshot of its table."""
        return replace(self, relation=self.relation.at(version))

    def only(self, names: tuple[str, ...]) -> WindowedAggregate:
        """The same view with some of its aggregates, in the view's order."""
        return replace(self, aggregates=tuple(a for a in self.aggregates if a.name in names))
