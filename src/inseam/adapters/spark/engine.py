"""The engine on Spark: one machine, a cluster, or a remote one by Spark Connect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from inseam.adapters.spark.buckets import Extent
from inseam.adapters.spark.describe import describe_columns, describe_nothing
from inseam.adapters.spark.dialect import INPUT, selected
from inseam.adapters.spark.features import Resources, Side, add_views, by_keys, in_order
from inseam.adapters.spark.relation import Source, frame_of, staged_frame, without_numbers
from inseam.adapters.spark.repeated import NUMBERS, PLACES, places, repeats
from inseam.adapters.spark.rows import SparkRows
from inseam.adapters.spark.session import Where, running, session
from inseam.adapters.spark.shared import (
    Limits,
    Session,
    ViewPlan,
    check_condition,
    check_expression,
    check_spine,
    check_upserts,
    compiled,
    cores,
    memory_bytes,
    plan_view,
    quote,
    with_system,
)
from inseam.adapters.spark.spine import rows_spine, snapshots_spine, table_spine
from inseam.adapters.spark.staging import ROW, Staged, Staging
from inseam.adapters.spark.superseded import standing
from inseam.adapters.spark.types import column
from inseam.adapters.spark.workers import SparkWorkers, local_engine
from inseam.ir.relation import SEQUENCE, SYSTEM_COLUMNS, Relation
from inseam.ir.spine import RowsSpine, Spine, TableSpine
from inseam.ir.windows import EVENT_TIME, WindowedAggregate
from inseam.kernel.errors import DataError, DefinitionError
from inseam.kernel.names import did_you_mean
from inseam.kernel.types import DataType, Field, Schema
from inseam.ports.defaulted import with_defaults
from inseam.ports.joined import joined_schema
from inseam.ports.rows import Given, Rows, StreamedRows, reader_of
from inseam.ports.tables import Snapshot, Tables
from inseam.ports.workers import Workers

_REMOTE_TASKS = 8
"""Tasks at once that a remote Spark is taken to have, where ``threads`` does not say."""


class SparkEngine:
    """`inseam.ports.engine.Engine` on Spark. The session opens at the first rows that are asked for.

    ``url`` is a master (``local[2]``, ``spark://host:7077``) or a remote Spark (``sc://host:15002``; a Databricks token
    comes from the environment alone); empty means the cores of this machine. ``memory_limit`` is what each machine may
    take for data, ``threads`` the tasks at once.
    ``staging`` is a path or URL that the driver and the workers both see (default: ``directory``); ``conf`` is Spark's
    own settings. A process works on one Spark.
    """

    def __init__(
        self,
        tables: Tables,
        *,
        directory: Path,
        memory_limit: str = "2GB",
        threads: int | None = None,
        url: str = "",
        staging: str | Path | None = None,
        conf: Mapping[str, str] | None = None,
    ) -> None:
        self._tables = tables
        self._where = Where(url or f"local[{threads or '*'}]", memory_bytes(memory_limit), dict(conf or {}))
        self._threads = threads
        self._directory = Path(directory)
        self._staging = Staging(staging or self._directory)
        self._path = "auto"
        # DuckDB on the driver types expressions; it reads no rows but those of a user's own spine file.
        self._limits = Limits(self._directory, self._where.memory, 1)
        opened = partial(local_engine, tables, self._given().memory)
        self.workers: Workers = SparkWorkers(self._session, self._staging, opened)

    def schema(self, relation: Relation, *, before: Schema | None = None) -> Schema:
        with Session(self._limits) as typed:
            found = before if before is not None else joined_schema(self._stored(relation).schema, relation)
            return compiled(relation, found, typed).schema

    def scan(self, relation: Relation, *, columns: Sequence[str] | None = None, where: str | None = None) -> SparkRows:
        source = self._source(relation, where)
        schema = with_system(source.schema)
        wanted = _known(source, columns) if columns is not None else schema.names
        with running(relation.table):
            frame = frame_of(self._session(), source, self._given().memory)
            if where is not None:
                sql = f"SELECT * FROM {INPUT} WHERE ({where}\n)"
                frame = selected(frame, sql, schema.to_arrow(), relation.table, self._given().memory)
            frame = frame.orderBy(column(SEQUENCE).asc_nulls_first())
            if SEQUENCE not in source.snapshot.schema:
                frame = without_numbers(frame)
            frame = frame.select(*map(column, wanted))
        arrow = Schema(tuple(Field(name, schema.type_of(name) or DataType.STRING) for name in wanted)).to_arrow()
        return SparkRows(frame, arrow, relation.table, self._staging, (source,))

    def evaluate(self, rows: pa.RecordBatchReader, expressions: Mapping[str, str]) -> Rows:
        schema = self._typed(rows.schema, expressions)
        staged = self._staging.stage(rows)
        # Whether an expression is right is asked over no rows: that takes no Spark.
        return self._evaluated(staged, expressions, schema) if staged.rows else self._nothing(schema)

    def spine(self, spine: Spine) -> Rows:
        if isinstance(spine, TableSpine):
            return StreamedRows.of(table_spine(spine, self._limits.memory), self._directory)
        columns = spine.columns if isinstance(spine, RowsSpine) else ()
        source, memory = self._source(spine.relation.asked((*spine.keys, *columns))), self._given().memory
        with running(spine.relation.table):
            frame = standing(frame_of(self._session(), source, memory), source, memory)
            made = (
                rows_spine(spine, source, frame)
                if isinstance(spine, RowsSpine)
                else snapshots_spine(spine, source, frame)
            )
        return SparkRows(made[0], made[1].to_arrow(), spine.relation.table, self._staging, (source,))

    def features(self, spine: Given, views: Sequence[WindowedAggregate]) -> Rows:
        return with_defaults(spine, views, self._features)

    def repeated(self, rows: Given, by: Sequence[str], held: Relation | None = None) -> Rows:
        for name in by:
            if name not in rows.schema.names:
                raise DataError("repeated", f"there is no column {name!r}", mend=did_you_mean(name, rows.schema.names))
        staged = self._staged(rows)
        if not staged.rows:
            return self._nothing(PLACES)
        source = None if held is None else self._source(held)
        with running("repeated"):
            table = None if source is None else frame_of(self._session(), source, self._given().memory)
            found = repeats(self._frame(staged), by, table)
            rows = SparkRows(found, NUMBERS, "repeated", self._staging, (staged, source))
            return rows.map(partial(places, np.array(staged.starts)), PLACES)

    def describe(self, rows: Given) -> Mapping[str, Mapping[str, Any]]:
        staged = self._staged(rows)
        if not staged.rows:
            return describe_nothing(staged.schema, self._given().memory)
        with running("describe"):
            return describe_columns(self._frame(staged), staged.schema, ROW, self._given().memory)

    def _features(self, spine: Given, views: Sequence[WindowedAggregate]) -> SparkRows:
        sides = self._sides(views)
        check_spine(spine.schema, [plan for side in sides for plan in side.plans])
        staged = self._staged(spine)
        if staged.timeless:
            found = f"{staged.timeless} rows have no {EVENT_TIME}"
            raise DataError("spine", found, expected="an instant in every row")
        given, schema = self._given(), staged.schema
        with running("features"):
            frame = self._frame(staged)
            extent = Extent(staged.rows, staged.bytes, staged.earliest or 0, staged.latest or 0)
            for group in by_keys(sides):
                frame, schema = add_views(self._session(), frame, schema, group, extent, given)
            made = [field for view in views for field in view.schema.to_arrow()]
            return self._ordered(frame, pa.schema([*staged.schema, *made]), staged, "features", *sides)

    def _staged(self, rows: Given) -> Staged:
        """Rows where the workers read them: those of Spark never come to the driver."""
        return rows.deposit() if isinstance(rows, SparkRows) else self._staging.stage(reader_of(rows))

    def _nothing(self, schema: pa.Schema) -> Rows:
        return StreamedRows.of(schema.empty_table().to_reader(), self._directory)

    def _typed(self, before: pa.Schema, expressions: Mapping[str, str]) -> pa.Schema:
        with Session(self._limits) as typed:
            found = Schema.from_arrow(before)
            return Schema.of(
                [(name, check_expression(text, found, name, typed)) for name, text in expressions.items()]
            ).to_arrow()

    def _evaluated(self, staged: Staged, expressions: Mapping[str, str], schema: pa.Schema) -> SparkRows:
        subject = ", ".join(expressions)
        texts = ", ".join(f"({text}\n) AS {quote(name)}" for name, text in expressions.items())
        sql, numbered = f"SELECT {texts}, {ROW} FROM {INPUT}", schema.append(pa.field(ROW, pa.int64()))
        with running(subject):
            frame = selected(self._frame(staged), sql, numbered, subject, self._given().memory)
            return self._ordered(frame, schema, staged, subject)

    def _session(self) -> Any:
        return session(self._where)

    def _given(self) -> Resources:
        """A local session shares the memory between Spark itself and the tasks' arrays."""
        tasks = self._threads or (cores() if self._where.is_local else _REMOTE_TASKS)
        memory = self._where.memory // (2 if self._where.is_local else 1)
        return Resources(memory // tasks, tasks, self._path)

    def _stored(self, relation: Relation) -> Snapshot:
        return self._tables.snapshot(relation.table, relation.version, since=relation.since)

    def _snapshot(self, relation: Relation) -> Snapshot:
        """The relation's rows before its transform; what is joined to them is computed now, and staged."""
        stored = self._stored(relation)
        if not relation.joins:
            return stored
        from inseam.adapters.spark.joined import joined_snapshot

        return joined_snapshot(self._session(), relation, stored, self._staging, self.features)

    def _source(self, relation: Relation, where: str | None = None) -> Source:
        snapshot = self._snapshot(relation)
        with Session(self._limits) as typed:
            source = Source(snapshot, compiled(relation, snapshot.schema, typed))
            check_upserts(relation, snapshot.schema, typed)
            if where is not None:
                check_condition(where, with_system(source.schema), relation.table, typed)
        return source

    def _sides(self, views: Sequence[WindowedAggregate]) -> list[Side]:
        """The views' plans; those that read one relation by the same keys side by side."""
        held: dict[object, list[ViewPlan]] = {}
        read = dict.fromkeys(view.relation.untransformed for view in views)
        snapshots = {relation: self._snapshot(relation) for relation in read}
        with Session(self._limits) as typed:
            for view in views:
                plan = plan_view(view, snapshots[view.relation.untransformed], typed)
                held.setdefault((view.relation, plan.snapshot.version, plan.key_fields), []).append(plan)
        return [Side(Source(plans[0].snapshot, plans[0].source), tuple(plans)) for plans in held.values()]

    def _frame(self, staged: Staged) -> Any:
        return staged_frame(self._session(), staged)

    def _ordered(self, frame: Any, schema: pa.Schema, staged: Staged, subject: str, *keep: Any) -> SparkRows:
        return SparkRows(in_order(frame, schema, staged.blocks), schema, subject, self._staging, (staged, *keep))


def _known(source: Source, columns: Sequence[str]) -> tuple[str, ...]:
    known = source.schema.names
    for name in columns:
        if name not in known and name not in SYSTEM_COLUMNS:
            raise DefinitionError(source.relation.table, f"there is no column {name!r}", mend=did_you_mean(name, known))
    return tuple(columns)
