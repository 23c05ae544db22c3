"""Spines: the rows to score or train on, with their instants."""

from __future__ import annotations

from dataclasses import dataclass, field

from inseam.ir.relation import Relation
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.clock import Step
from inseam.kernel.frozen import METADATA
from inseam.kernel.types import DataType, Schema


@dataclass(frozen=True, slots=True)
class SnapshotsSpine:
    """Each key at each boundary of ``step`` in ``[start, end)`` before which, within ``active``, it had a row.

    ``active`` None: at any time before. ``start`` and ``end`` None: the relation's own extent. A key enters strictly
    after its first row: the instant itself is the future.
    """

    relation: Relation
    keys: tuple[str, ...]
    step: Step
    active: int | None = None
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class RowsSpine:
    """Each row of ``relation`` at its own event time, with ``columns`` carried along."""

    relation: Relation
    keys: tuple[str, ...]
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TableSpine:
    """The rows of a Parquet or CSV file that the user brings; ``schema`` holds keys, instant and carried columns."""

    path: str = field(metadata=METADATA)
    digest: str
    keys: tuple[str, ...]
    timestamp: str
    schema: Schema


Spine = SnapshotsSpine | RowsSpine | TableSpine
"""What every engine computes."""


@dataclass(frozen=True, slots=True)
class WildcardSpine:
    """Each row of ``within`` once for every member that it has at its instant, which is its value of ``key``.

    Its members are the different values, NULL left out, of the view ``members`` (all of one type), in the order in
    which the view has them. A row without any is left out. `inseam.ports.wildcard` computes it, on any engine.
    """

    within: Spine
    members: WindowedAggregate
    key: str

    @property
    def keys(self) -> tuple[str, ...]:
        return (*self.within.keys, self.key)

    @property
    def type(self) -> DataType:
        """Of the key."""
        return self.members.aggregates[0].type


AnySpine = Spine | WildcardSpine
"""What rows may be asked for."""


def plain(spine: AnySpine) -> Spine:
    """The spine without its wildcard."""
    return spine.within if isinstance(spine, WildcardSpine) else spine
