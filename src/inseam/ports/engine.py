"""The engine: runs relations and the two operators of time on tables that may be larger than memory.

What it computes are `Rows`, which stay where they are until they are asked for. An engine reads tables through
`Tables` snapshots.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from inseam.ir.relation import Relation
from inseam.ir.spine import Spine
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.types import Schema

if TYPE_CHECKING:
    import pyarrow as pa

    from inseam.ports.rows import Given, Rows
    from inseam.ports.workers import Workers


class Engine(Protocol):
    workers: Workers
    """Who works for it, and may work for its caller."""

    def schema(self, relation: Relation, *, before: Schema | None = None) -> Schema:
        """The columns of a relation after its transform, without system columns; the transform is checked.

        `DefinitionError` when the transform cannot be compiled, names an unknown column, is not row by row, or loses
        the timestamp. With ``before``, the columns before the transform, the table need not exist. What
        ``relation.schema`` says is not looked at.
        """

    def scan(self, relation: Relation, *, columns: Sequence[str] | None = None, where: str | None = None) -> Rows:
        """Rows in the order in which they were ingested. ``columns`` None: all with the system columns.

        ``where``: SQL that is true for the rows that are wanted; it may look at the system columns.
        """

    def evaluate(self, rows: pa.RecordBatchReader, expressions: Mapping[str, str]) -> Rows:
        """Row-wise SQL expressions over rows, order kept; the output has exactly the named columns."""

    def spine(self, spine: Spine) -> Rows:
        """The spine's rows: keys, then ``event_time`` (timestamp us UTC), then carried columns.

        In the order (event_time, keys) for snapshots, (event_time, ingestion order) for rows, file order for tables.
        """

    def features(self, spine: Given, views: Sequence[WindowedAggregate]) -> Rows:
        """The spine's rows in their order, with each view's aggregates appended: TIME.md, exactly.

        A row whose entity has no row that is known has the view's default, where it names one.
        Memory stays within the engine's limit however large spine and tables are.
        """

    def repeated(self, rows: Given, by: Sequence[str], held: Relation | None = None) -> Rows:
        """Which rows equal an earlier one, or a row of ``held``, in all columns of ``by``; NULL equals nothing.

        One column ``row``: int64, places among the rows from 0, ascending. Out of core; of ``held`` only that is read
        whose statistics don't exclude it.
        """

    def describe(self, rows: Given) -> Mapping[str, Mapping[str, Any]]:
        """One pass of statistics a column, JSON-able, as a later drift baseline.

        ``count, nulls``; for numbers ``mean, std, min, max, quantiles`` (21 of them, 0 to 1 by 0.05); for strings,
        bools and dates ``distinct, top`` (up to 50 ``[value, count]`` pairs by falling count, then value).
        """
