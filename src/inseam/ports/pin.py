"""One version a table for one piece of work: what starts on a state of the data ends on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from inseam.ir.records import ViewStateRecord
from inseam.ir.relation import Relation
from inseam.ir.spine import AnySpine, TableSpine, WildcardSpine
from inseam.ir.windows import WindowedAggregate
from inseam.ports.ledger import Ledger
from inseam.ports.tables import Tables

S = TypeVar("S", bound=AnySpine)


def versions(tables: Tables, relations: Iterable[Relation]) -> dict[str, int]:
    """Table -> version: the one that a relation names, else the newest. `NotFoundError` when there is no table."""
    found: dict[str, int] = {}
    read = [each for relation in relations for each in relation.reads()]
    for relation in sorted(read, key=lambda relation: (relation.table, relation.version is None)):
        if relation.table not in found:
            named = relation.version
            found[relation.table] = tables.snapshot(relation.table).version if named is None else named
    return found


def relations_of(spine: AnySpine | None, views: Iterable[WindowedAggregate]) -> list[Relation]:
    """Every relation that is read; a file that the user brings is none."""
    if isinstance(spine, WildcardSpine):
        return relations_of(spine.within, [spine.members, *views])
    read = [view.relation for view in views]
    return read if spine is None or isinstance(spine, TableSpine) else [spine.relation, *read]


def pinned_spine(spine: S, at: Mapping[str, int]) -> S:
    if isinstance(spine, TableSpine):
        return spine
    if isinstance(spine, WildcardSpine):
        (members,) = pinned_views([spine.members], at)
        return replace(spine, within=pinned_spine(spine.within, at), members=members)
    return replace(spine, relation=_pinned(spine.relation, at))


def pinned_views(views: Iterable[WindowedAggregate], at: Mapping[str, int]) -> tuple[WindowedAggregate, ...]:
    return tuple(replace(view, relation=_pinned(view.relation, at)) for view in views)


def _pinned(relation: Relation, at: Mapping[str, int]) -> Relation:
    return relation.each(lambda one: one.at(at[one.table]))


def newest_state(view: WindowedAggregate, fingerprint: str, tables: Tables, ledger: Ledger) -> int:
    """The number by which online rows name the data that they are made from: the version of the table that is read.

    Of a view that reads several tables, because of joins, their versions together get a number, which the ledger keeps.
    Nobody else numbers states of this view meanwhile.
    """
    at = versions(tables, [view.relation])
    if not view.relation.joins:
        return at[view.relation.table]
    known = ledger.select(ViewStateRecord, view=view.name, fingerprint=fingerprint)
    found = next((record for record in known if record.versions == at), None)
    if found is None:
        found = ViewStateRecord(view.name, fingerprint, len(known), at)
        ledger.put(found)
    return found.number


def view_at(view: WindowedAggregate, fingerprint: str, number: int, ledger: Ledger) -> WindowedAggregate:
    """The view on the data that `newest_state` gave this number."""
    record = ledger.get(ViewStateRecord, view.name, fingerprint, number)
    return view.at(number) if record is None else pinned_views([view], record.versions)[0]
