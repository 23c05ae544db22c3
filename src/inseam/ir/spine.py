"""Spines: the rows to score or train on, with their instants."""

from __future__ import annotations

from dataclasses import dataclass, field

from inseam.ir.relation import Relation
from inseam.kernel.clock import Step
from inseam.kernel.frozen import METADATA
from inseam.kernel.types import Schema


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
