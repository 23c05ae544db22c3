"""All entities at one instant, as a spine."""

from __future__ import annotations

from inseam.ir.relation import Relation
from inseam.ir.spine import SnapshotsSpine
from inseam.kernel.clock import Step


def entities_at(relation: Relation, keys: tuple[str, ...], as_of: int, active: int | None = None) -> SnapshotsSpine:
    """One row for each key that had a row strictly before ``as_of`` (within ``active`` when given), at ``as_of``.

    A grid of single microseconds that begins at ``as_of`` and ends one later has exactly that one instant.
    """
    return SnapshotsSpine(relation, keys, Step(1), active=active, start=as_of, end=as_of + 1)
