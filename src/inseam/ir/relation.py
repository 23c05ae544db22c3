"""A relation: rows of one table at one snapshot, after a row-wise transform."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from inseam.ir.functions import FunctionRef
from inseam.kernel.frozen import METADATA
from inseam.kernel.types import Schema

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

    def as_stored(self) -> Relation:
        """All rows of the table, superseded and deleted ones too."""
        return replace(self, upserts=None)

    def at(self, version: int) -> Relation:
        return replace(self, version=version)
