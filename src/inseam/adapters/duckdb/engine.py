"""The engine on one machine: DuckDB reads and sorts out of core, compiled sweeps aggregate over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inseam.adapters.duckdb.expression import check_condition
from inseam.adapters.duckdb.relation import Compiled, compiled, read, with_system
from inseam.adapters.duckdb.session import Limits, Session, cores, memory_bytes, quote, sweep_scratch
from inseam.ir.relation import SEQUENCE, Relation
from inseam.ir.spine import Spine
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.errors import DefinitionError
from inseam.kernel.names import did_you_mean
from inseam.kernel.types import Schema
from inseam.ports.defaulted import with_defaults
from inseam.ports.joined import joined_schema
from inseam.ports.rows import Given, Rows, StreamedRows, reader_of
from inseam.ports.tables import Snapshot, Tables
from inseam.ports.workers import ThisProcess, Workers

if TYPE_CHECKING:
    import pyarrow as pa


class DuckdbEngine:
    """`inseam.ports.engine.Engine` on DuckDB. Several threads and processes may use one directory at once.

    ``memory_limit`` is text such as ``2GB`` or ``512MiB``; ``directory`` takes what doesn't fit, for as long as a
    call or its stream lasts; ``threads`` None means the processor's.
    """

    def __init__(
        self, tables: Tables, *, directory: Path, memory_limit: str = "2GB", threads: int | None = None
    ) -> None:
        self._tables = tables
        self._limits = Limits(Path(directory), memory_bytes(memory_limit), threads or cores(), tables.files)
        sweep_scratch(self._limits.directory)
        self._path = "auto"
        self.workers: Workers = ThisProcess(self._here, self._limits.directory)

    def schema(self, relation: Relation, *, before: Schema | None = None) -> Schema:
        with Session(self._limits) as session:
            found = before if before is not None else joined_schema(self._stored(relation).schema, relation)
            return compiled(relation, found, session).schema

    def scan(self, relation: Relation, *, columns: Sequence[str] | None = None, where: str | None = None) -> Rows:
        session = Session(self._limits)
        try:
            snapshot, source = self._compile(relation, session)
            selected = _selected(source, columns)
            condition = ""
            if where is not None:
                check_condition(where, with_system(source.schema), relation.table, session)
                condition = f" WHERE ({where}\n)"
            body = source.over(read(snapshot))
            sql = f"SELECT {selected} FROM (SELECT * FROM ({body}){condition} ORDER BY {SEQUENCE} NULLS FIRST)"
            return self._rows(session.stream(sql, relation.table))
        except BaseException:
            session.close()
            raise

    def evaluate(self, rows: pa.RecordBatchReader, expressions: Mapping[str, str]) -> Rows:
        from inseam.adapters.duckdb.rows import evaluate

        return self._rows(evaluate(self._limits, rows, expressions))

    def spine(self, spine: Spine) -> Rows:
        from inseam.adapters.duckdb.spine import read_spine

        return self._rows(read_spine(self._limits, spine, self._compile))

    def features(self, spine: Given, views: Sequence[WindowedAggregate]) -> Rows:
        return with_defaults(spine, views, self._features)

    def repeated(self, rows: Given, by: Sequence[str], held: Relation | None = None) -> Rows:
        from inseam.adapters.duckdb.rows import repeated

        return self._rows(repeated(self._limits, reader_of(rows), by, held, self._compile))

    def describe(self, rows: Given) -> Mapping[str, Mapping[str, Any]]:
        from inseam.adapters.duckdb.describe import describe

        return describe(self._limits, reader_of(rows))

    def _features(self, spine: Given, views: Sequence[WindowedAggregate]) -> Rows:
        from inseam.adapters.duckdb.build import build

        return self._rows(build(self._limits, reader_of(spine), views, self._snapshot, self._path))

    def _here(self, _: Path) -> DuckdbEngine:
        return self

    def _rows(self, reader: pa.RecordBatchReader) -> Rows:
        return StreamedRows.of(reader, self._limits.directory)

    def _stored(self, relation: Relation) -> Snapshot:
        return self._tables.snapshot(relation.table, relation.version, since=relation.since)

    def _snapshot(self, relation: Relation, session: Session) -> Snapshot:
        """The relation's rows before its transform; what is joined to them lies in the session's scratch."""
        stored = self._stored(relation)
        if not relation.joins:
            return stored
        from inseam.adapters.duckdb.joined import joined_snapshot

        return joined_snapshot(relation, stored, session, self._limits, self.features)

    def _compile(self, relation: Relation, session: Session) -> tuple[Snapshot, Compiled]:
        snapshot = self._snapshot(relation, session)
        return snapshot, compiled(relation, snapshot.schema, session)


def _selected(source: Compiled, columns: Sequence[str] | None) -> str:
    if columns is None:
        return "*"
    known = source.schema.names
    from inseam.ir.relation import SYSTEM_COLUMNS

    for name in columns:
        if name not in known and name not in SYSTEM_COLUMNS:
            raise DefinitionError(source.relation.table, f"there is no column {name!r}", mend=did_you_mean(name, known))
    return ", ".join(quote(name) for name in columns)
