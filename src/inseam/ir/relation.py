"""A relation: rows of one table at one snapshot, with what is joined to them, after a row-wise transform."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from inseam.ir.functions import FunctionRef
from inseam.kernel.frozen import METADATA, UNSAID
from inseam.kernel.types import Field, Schema

if TYPE_CHECKING:
    from inseam.ir.windows import WindowedAggregate

INGESTED_AT = "_ingested_at"
"""When the platform first held the row (timestamp); NULL for rows loaded as history."""
SEQUENCE = "_seq"
"""int64: ``load number << 40 | row within the load``. The order within and across loads, which breaks ties of time."""
SYSTEM_COLUMNS = (INGESTED_AT, SEQUENCE)


@dataclass(frozen=True, slots=True)
class SqlTransform:
    """A SELECT over the source's name that keeps a row a row (no grouping, joins, windows, DISTINCT or LIMIT)."""

    sql: str


@dataclass(frozen=True, slots=True)
class FunctionTransform:
    """A function from an Ibis table to an Ibis table that keeps a row a row and keeps the system columns."""

    function: FunctionRef


Transform = SqlTransform | FunctionTransform


@dataclass(frozen=True, slots=True)
class Upserts:
    """A row supersedes the table's earlier rows with its key: those before it by (ingestion time, `SEQUENCE`).

    It does so from the instant at which it is known: when it was ingested, or its ``timestamp`` when it is history.
    ``deleted``: SQL over the table's row; a row for which it is true takes its key's rows away and counts nowhere
    itself. A row with a NULL in its key neither supersedes nor is superseded.
    """

    key: tuple[str, ...]
    timestamp: str
    """The table's own, whatever a transform takes for its rows."""
    deleted: str | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """The values of a view as columns of a relation: those at each row's own instant, ``value(k, ts)`` of TIME.md.

    ``on``: pairs of a key of the view and the relation's column that holds it. A NULL there is a key without rows.
    """

    view: WindowedAggregate
    on: tuple[tuple[str, str], ...]
    prefix: str = ""

    @property
    def schema(self) -> Schema:
        """The columns that the rows get."""
        return Schema(tuple(Field(self.prefix + field.name, field.type) for field in self.view.schema))


@dataclass(frozen=True, slots=True)
class Relation:
    """What a view, a spine or a label reads.

    ``schema`` holds the columns after the transform, without the system columns, which always ride along.
    ``version`` is the snapshot's number; None means the newest when the step runs, which the run then records.
    """

    table: str
    timestamp: str
    schema: Schema
    transform: Transform | None = None
    version: int | None = field(default=None, metadata=METADATA)
    upserts: Upserts | None = None
    """None: every row stands for ever."""
    since: int | None = field(default=None, metadata=METADATA)
    """Rows that were ingested at or before this instant (UTC microseconds), and history, need not be read."""
    joins: tuple[Joined, ...] = field(default=(), metadata=UNSAID)
    """Columns that the table's rows get before the transform, one after another. Rows without an instant get none, and
    are left out: they count nowhere."""

    @property
    def untransformed(self) -> Relation:
        """The table's rows with what is joined to them."""
        return replace(self, transform=None, upserts=None)

    def as_stored(self) -> Relation:
        """All rows of the table, superseded and deleted ones too."""
        return replace(self, upserts=None)

    def at(self, version: int) -> Relation:
        return replace(self, version=version)

    def reads(self) -> Iterator[Relation]:
        """Itself, and whatever is joined to it."""
        yield self
        for joined in self.joins:
            yield from joined.view.relation.reads()

    def each(self, change: Callable[[Relation], Relation]) -> Relation:
        """Changed, and so is whatever is joined to it."""
        views = (replace(one.view, relation=one.view.relation.each(change)) for one in self.joins)
        return change(replace(self, joins=tuple(map(_with_view, self.joins, views))))

    def asked(self, columns: Collection[str]) -> Relation:
        """The same as far as these columns go: without joins that none of them needs."""
        if self.transform is not None:
            return self
        needed, kept = set(columns), []
        for joined in reversed(self.joins):
            if needed.intersection(joined.schema.names):
                needed.update(column for _, column in joined.on)
                kept.append(joined)
        return replace(self, joins=tuple(reversed(kept)))


def _with_view(joined: Joined, view: WindowedAggregate) -> Joined:
    return replace(joined, view=view)
