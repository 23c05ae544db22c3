"""One load of a source: all or nothing, once. See `ingest`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import accumulate
from pathlib import Path

import pyarrow as pa

from inseam.ir.checks import SourceSpec
from inseam.ir.forgotten import Forgotten
from inseam.ir.records import ErasureRecord, LoadedFileRecord, LoadRecord, SourceSchemaRecord
from inseam.ir.relation import SYSTEM_COLUMNS
from inseam.kernel.clock import now
from inseam.kernel.errors import DataError, DefinitionError
from inseam.kernel.types import DataType, Schema
from inseam.ports.engine import Engine
from inseam.ports.ledger import Ledger
from inseam.ports.progress import Progress, silent
from inseam.ports.tables import CommitKey, Tables
from inseam.ports.workers import Workers
from inseam.stages.ingest import book
from inseam.stages.ingest.crew import Crew, crew_of
from inseam.stages.ingest.finding import Findings
from inseam.stages.ingest.inputs import Input, find_inputs
from inseam.stages.ingest.part import INSTANT, Part, Stamps, Work, accepted, rejected, table_schema
from inseam.stages.ingest.staging import QUARANTINE, scratch
from inseam.stages.ingest.unique import judge_unique
from inseam.stages.ingest.whole import judge_load

SEQUENCE_SHIFT = 40


def ingest(
    spec: SourceSpec,
    *,
    tables: Tables,
    ledger: Ledger,
    engine: Engine,
    directory: Path,
    is_history: bool = False,
    watermark: int | None = None,
    progress: Progress = silent,
) -> LoadRecord | None:
    """Take in what no earlier load took in; None when there is nothing new.

    Accepted rows go to ``sources/<name>``, the others to ``quarantine/<name>``: together as many as were read.
    ``is_history``: the rows count as known at their event times. ``watermark`` (UTC microseconds): the instant up to
    which the source is now complete; without one the greatest event time. ``directory`` is scratch space.

    A load that died is first finished or taken back. `ConflictError` when another process ingests the source,
    `DataError` when its data cannot be what is declared, `RefusedError` when a check of the whole load fails.
    """
    load = Load(spec, tables, ledger, engine, progress)
    with ledger.lease(book.application(spec.name)):
        book.resolve(spec.name, tables, ledger)
        digests = {file.digest for file in ledger.select(LoadedFileRecord, source=spec.name)}
        inputs = find_inputs(spec, digests, directory / "ingest", engine.workers, progress)
        if inputs:
            done = load.run(inputs, directory / "ingest" / spec.name, watermark, is_history=is_history)
            if done is not None:
                return done
        _move_watermark(spec.name, watermark, ledger)
        return None


def _move_watermark(source: str, watermark: int | None, ledger: Ledger) -> None:
    held = ledger.get(SourceSchemaRecord, source)
    if held is not None and watermark is not None:
        ledger.put(book.schema_record(source, held.columns, watermark, ledger))


class Load:
    """One load, under the source's lease."""

    def __init__(self, spec: SourceSpec, tables: Tables, ledger: Ledger, engine: Engine, progress: Progress) -> None:
        self._spec, self._tables, self._ledger, self._engine = spec, tables, ledger, engine
        self._progress = progress
        self._findings = Findings()

    def run(
        self,
        inputs: list[Input],
        directory: Path,
        watermark: int | None,
        *,
        is_history: bool = False,
        stamps: Stamps | None = None,
    ) -> LoadRecord | None:
        """None when the inputs turn out to be known: a query that gives the rows of an earlier load.

        ``stamps``: when the rows were taken in; left out, that is now, or for history before all time.
        """
        spec = self._spec
        crew = crew_of(spec, inputs, self._engine, directory, self._findings, self._progress)
        schema = self._schema(crew)
        number = book.next_number(spec.name, self._tables)
        forgotten = Forgotten(self._ledger.select(ErasureRecord))
        with scratch(crew.folder) as folder:
            work = Work(spec, schema, number, now(), folder, crew.workers.engine, forgotten)
            parts = crew.prepare(work)
            files = _files(spec.name, number, parts)
            if spec.query is not None and self._ledger.get(LoadedFileRecord, spec.name, files[0].digest) is not None:
                return None
            self._check_key()
            parts = judge_unique(work, parts, crew.workers, self._engine, self._tables)
            newest = max((part.newest for part in parts if part.newest is not None), default=None)
            load = self._judged(work, parts, newest, is_history=is_history)
            begun = book.begun(load, files, schema, newest if watermark is None else watermark)
            return self._commit(begun, parts, crew.workers, schema, stamps)

    def _judged(self, work: Work, parts: list[Part], newest: int | None, *, is_history: bool) -> LoadRecord:
        """The load as it stands once its rows are judged; `RefusedError` where it breaks a check as a whole."""
        for part in parts:
            self._findings.join(part.findings)
        count = sum(part.accepted for part in parts)
        judge_load(work.spec, count, newest, self._findings)
        return LoadRecord(
            source=work.spec.name,
            number=work.number,
            status="begun",
            is_history=is_history,
            ingested_at=work.at,
            rows_in=sum(one.rows for part in parts for one in part.read),
            rows_accepted=count,
            rows_quarantined=sum(part.staging.rejected for part in parts),
            rows_ignored=sum(part.staging.ignored for part in parts),
            rows_forgotten=sum(part.staging.dropped for part in parts),
            version=None,
            findings=self._findings.found,
        )

    def _check_key(self) -> None:
        """A query gives all of its rows anew: from the second load on only a key tells which of them are new."""
        spec = self._spec
        if spec.query is not None and not spec.key and book.held_schema(spec.name, self._ledger) is not None:
            raise DefinitionError(
                f"source:{spec.name}",
                "the query's result is not that of the load before, and no key tells which of its rows are new",
                mend='declare the columns that name a row: key="..."',
            )

    def _commit(
        self, load: LoadRecord, parts: list[Part], workers: Workers, schema: Schema, stamps: Stamps | None
    ) -> LoadRecord:
        """Begun record, quarantined rows, accepted rows, committed record: each step one transaction.

        The rows' instant is taken when all can see that the load has begun: whoever computes values of that instant or
        a later one waits for it (`book.settle`), and whoever looked before did so at an earlier instant.
        """
        key = CommitKey(book.application(load.source), load.number)
        self._ledger.insert(load)
        try:
            load = replace(load, ingested_at=now())
            self._ledger.put(load)
            if load.rows_quarantined:
                rejects = workers.rows(rejected, parts, QUARANTINE)
                self._tables.append(book.quarantine_table(load.source), rejects, key=key)
            stamps = stamps or partial(_stamped, None if load.is_history else load.ingested_at)
            rows = workers.rows(partial(accepted, stamps), _numbered(load, parts), table_schema(schema))
            version = self._tables.append(book.sources_table(load.source), rows, key=key)
            return book.finish(load, version, self._ledger)
        except BaseException:
            book.resolve(load.source, self._tables, self._ledger)
            raise

    def _schema(self, crew: Crew) -> Schema:
        """Declared, or held since the first load, or inferred from all that this first load reads."""
        spec = self._spec
        held = book.held_schema(spec.name, self._ledger)
        schema = spec.schema or held
        if schema is None:
            schema = crew.infer(spec).schema(self._findings)
            if not schema.fields:
                raise DataError(
                    f"source:{spec.name}",
                    "there is no row that can be read, to infer the schema from",
                    mend="put a file with rows there, or declare the source's schema: broken rows are then quarantined "
                    "with their reasons",
                )
        _check_schema(spec, schema, held)
        return schema


def _check_schema(spec: SourceSpec, schema: Schema, held: Schema | None) -> None:
    subject = f"source:{spec.name}"
    for name in (spec.timestamp, *spec.key):
        if name not in schema:
            raise DataError(subject, f"there is no column {name!r}", expected=f"one of {', '.join(schema.names)}")
    if schema.type_of(spec.timestamp) is not DataType.TIMESTAMP:
        raise DefinitionError(subject, f"{spec.timestamp} is {schema.type_of(spec.timestamp)}", expected="timestamp")
    _check_names(subject, schema)
    for field in held or ():
        declared = schema.type_of(field.name)
        if declared is not None and declared is not field.type:
            raise DefinitionError(
                subject,
                f"column {field.name!r} is declared as {declared}",
                expected=f"{field.type}, as the source is held to since its first load",
                mend="keep the type, or declare a source of another name",
            )


def _check_names(subject: str, schema: Schema) -> None:
    """Tables tell columns apart whatever their case, and keep some names for themselves."""
    seen: dict[str, str] = {}
    for name in schema.names:
        if name.lower() in SYSTEM_COLUMNS:
            raise DataError(
                subject,
                f"there is a column {name!r}, as one of every table is called",
                mend=f'rename it: rename={{"{name}": "source{name}"}}',
            )
        other = seen.setdefault(name.lower(), name)
        if other != name:
            raise DataError(
                subject,
                f"the columns {other!r} and {name!r} differ in case only",
                mend=f'rename one of them: rename={{"{name}": "{name.lower()}_2"}}',
            )


def _files(source: str, number: int, parts: list[Part]) -> list[LoadedFileRecord]:
    """The inputs, each once, whoever read how much of it."""
    found: dict[str, LoadedFileRecord] = {}
    for one in (one for part in parts for one in part.read):
        before = found[one.digest].rows if one.digest in found else 0
        found[one.digest] = LoadedFileRecord(source, one.digest, one.path, number, before + one.rows)
    return list(found.values())


def _numbered(load: LoadRecord, parts: list[Part]) -> list[tuple[Part, int]]:
    """The parts with the number of each one's first row: ``_seq`` counts the load's staged rows, kept or not."""
    before = accumulate((part.staging.rows for part in parts), initial=load.number << SEQUENCE_SHIFT)
    return list(zip(parts, before, strict=False))


def _stamped(instant: int | None, batch: pa.RecordBatch) -> pa.Array:
    """All rows were taken in at the load's instant; history is known at its event times."""
    return pa.repeat(pa.scalar(instant, pa.int64()).cast(INSTANT), batch.num_rows)
