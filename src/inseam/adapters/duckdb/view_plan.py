"""What one view needs of its table, checked before anything is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inseam.adapters.duckdb.expression import check_condition
from inseam.adapters.duckdb.relation import Compiled, compiled, read
from inseam.adapters.duckdb.session import Session, quote
from inseam.adapters.duckdb.superseded import check_upserts, superseded
from inseam.ir.aggregates import ALGEBRA, PLACES, AggregateSpec
from inseam.ir.derived import core
from inseam.ir.relation import INGESTED_AT, SEQUENCE
from inseam.ir.window_expression import EVENT, KNOWN, SUPERSEDED
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.errors import DefinitionError
from inseam.kernel.names import did_you_mean
from inseam.kernel.types import DataType, Field, Schema
from inseam.ports.tables import Snapshot

_EVENT_BYTES = 72
"""What the sweep works with for each event, besides the columns."""


@dataclass(frozen=True, slots=True)
class ViewPlan:
    """A view over one snapshot. ``conditions`` gives each ``where`` the name of the column that holds its truth."""

    view: WindowedAggregate
    core: WindowedAggregate
    """What is computed over the rows: the view without what is derived from that."""
    snapshot: Snapshot
    source: Compiled
    columns: tuple[str, ...]
    conditions: Mapping[str, str]
    has_known: bool
    """Whether any row has an ingestion time: for who is visible when, and for ties."""
    has_order: bool
    """Whether the order within loads matters: only to first and last."""

    @property
    def key_fields(self) -> tuple[Field, ...]:
        return tuple(Field(key, self.source.schema.type_of(key) or DataType.STRING) for key in self.view.keys)

    @property
    def has_superseded(self) -> bool:
        """Whether rows may supersede others."""
        return self.view.relation.upserts is not None

    @property
    def event_bytes(self) -> int:
        """What the view's events take in memory, at most."""
        return self.snapshot.rows * self.row_bytes

    @property
    def row_bytes(self) -> int:
        """What one event takes in memory."""
        types = [self.source.schema.type_of(name) for name in (*self.view.keys, *self.columns)]
        cells = sum(48 if type_ is DataType.STRING else 9 for type_ in types) + len(self.conditions)
        return _EVENT_BYTES + cells + 8 * (self.has_known + self.has_superseded + self.has_order)

    def over(self, spec: AggregateSpec) -> int | None:
        return self.view.forward if self.view.forward is not None else spec.over

    def events(self, since: int | None, before: int) -> str:
        """SELECT of what the view needs of the rows with ``since <= ts < before``.

        Keys and columns under their own names, then `EVENT`, `KNOWN`, `SUPERSEDED`, `SEQUENCE` and the conditions.
        """
        body = self.source.over(read(self.snapshot))
        stamp = f"CAST({quote(self.view.relation.timestamp)} AS TIMESTAMP WITH TIME ZONE)"
        # Compared as a timestamp, so that row groups outside of the span are skipped.
        inside = f"{stamp} < make_timestamptz({before})"
        if since is not None:
            inside += f" AND {stamp} >= make_timestamptz({since})"
        names = dict.fromkeys((*self.view.keys, *self.columns))
        selected = [quote(name) for name in names] + [f"epoch_us({stamp}) AS {EVENT}"]
        if self.has_known:
            selected.append(f"epoch_us({quote(INGESTED_AT)}) AS {KNOWN}")
        if self.view.relation.upserts is not None:
            selected.append(SUPERSEDED)
            ends = superseded(self.snapshot, self.view.relation.upserts)
            body = f"SELECT * FROM ({body}) LEFT JOIN ({ends}) USING ({SEQUENCE})"
        if self.has_order:
            selected.append(quote(SEQUENCE))
        selected += [f"coalesce(({text}\n), false) AS {quote(name)}" for text, name in self.conditions.items()]
        return f"SELECT {', '.join(selected)} FROM ({body}) WHERE {inside}"


def plan_view(view: WindowedAggregate, snapshot: Snapshot, session: Session) -> ViewPlan:
    """Compile a view; `DefinitionError` names the view and the feature whose column or condition is wrong."""
    source = compiled(view.relation, snapshot.schema, session)
    check_names(view.name, "key", view.keys, source.schema)
    check_upserts(view.relation, snapshot.schema, session)
    conditions: dict[str, str] = {}
    computed = core(view)
    for spec in computed.aggregates:
        subject = f"{view.name}.{spec.name}"
        _check_aggregate(spec, subject, source.schema)
        if spec.where is not None and spec.where not in conditions:
            check_condition(spec.where, source.schema, subject, session)
            conditions[spec.where] = f"_where_{len(conditions)}"
    knowns_null = snapshot.null_counts.get(INGESTED_AT) == snapshot.rows or INGESTED_AT not in snapshot.schema
    has_order = any(spec.kind in PLACES for spec in computed.aggregates)
    return ViewPlan(
        view,
        computed,
        snapshot,
        source,
        tuple(dict.fromkeys(spec.column for spec in computed.aggregates if spec.column is not None)),
        conditions,
        not knowns_null and (view.forward is None or has_order),
        has_order,
    )


def check_names(subject: str, what: str, names: Sequence[str], schema: Schema) -> None:
    """`DefinitionError` for the first name that is no column."""
    for name in names:
        if name not in schema:
            raise DefinitionError(subject, f"there is no {what} column {name!r}", mend=did_you_mean(name, schema.names))


def _check_aggregate(spec: AggregateSpec, subject: str, schema: Schema) -> None:
    algebra = ALGEBRA[spec.kind]
    if spec.column is None:
        if algebra.needs_column:
            raise DefinitionError(subject, f"{spec.kind} names no column")
        return
    check_names(subject, "value", (spec.column,), schema)
    found = schema.type_of(spec.column)
    if found not in algebra.accepts:
        raise DefinitionError(
            subject,
            f"{spec.kind} of {spec.column!r}, which is {found}",
            expected=f"a column of type {', '.join(algebra.accepts)}",
        )
