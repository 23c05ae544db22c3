"""One version a table for one piece of work: what starts on a state of the data ends on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

from inseam.ir.relation import Relation
from inseam.ir.spine import Spine, TableSpine
from inseam.ir.windows import WindowedAggregate
from inseam.ports.tables import Tables

S = TypeVar("S", bound=Spine)


def versions(tables: Tables, relations: Iterable[Relation]) -> dict[str, int]:
    """Table -> version: the one that a relation names, else the newest. `NotFoundError` when there is no table."""
    found: dict[str, int] = {}
    for relation in sorted(relations, key=lambda relation: (relation.table, relation.version is None)):
        if relation.table not in found:
            named = relation.version
            found[relation.table] = tables.snapshot(relation.table).version if named is None else named
    return found


def relations_of(spine: Spine | None, views: Iterable[WindowedAggregate]) -> list[Relation]:
    """Every relation that is read; a file that the user brings is none."""
    read = [view.relation for view in views]
    return read if spine is None or isinstance(spine, TableSpine) else [spine.relation, *read]


def pinned_spine(spine: S, at: dict[str, int]) -> S:
    if isinstance(spine, TableSpine):
        return spine
    return replace(spine, relation=spine.relation.at(at[spine.relation.table]))


def pinned_views(views: Iterable[WindowedAggregate], at: dict[str, int]) -> tuple[WindowedAggregate, ...]:
    return tuple(view.at(at[view.relation.table]) for view in views)
