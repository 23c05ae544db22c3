"""One load of a source: all or nothing, once. See `ingest`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from inseam.ir.checks import SourceSpec
from inseam.ir.forgotten import Forgotten
from inseam.ir.records import ErasureRecord, LoadedFileRecord, LoadRecord, SourceSchemaRecord
from inseam.ir.relation import INGESTED_AT, SEQUENCE, SYSTEM_COLUMNS
from inseam.kernel.clock import now
from inseam.kernel.errors import DataError, DefinitionError
from inseam.kernel.types import DataType, Schema, arrow_type
from inseam.ports.engine import Engine
from inseam.ports.ledger import Ledger
from inseam.ports.progress import Progress, silent
from inseam.ports.tables import CommitKey, Tables
from inseam.stages.ingest import book
from inseam.stages.ingest.finding import Findings
from inseam.stages.ingest.inputs import Input, find_inputs
from inseam.stages.ingest.judge import judge
from inseam.stages.ingest.notation import notation_of
from inseam.stages.ingest.read import first_read, stage
from inseam.stages.ingest.staging import FILE, LINE, Staging
from inseam.stages.ingest.types import infer
from inseam.stages.ingest.unique import judge_unique
from inseam.stages.ingest.whole import judge_load, newest_event

SEQUENCE_SHIFT = 40
Stamps = Callable[[pa.RecordBatch], pa.Array]
"""From staged rows to the instants at which they were taken in."""
_INSTANT = arrow_type(DataType.TIMESTAMP)


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
        inputs = find_inputs(spec, digests, directory / "ingest", progress)
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
        spec, schema = self._spec, self._schema(inputs)
        number = book.next_number(spec.name, self._tables)
        forgotten = Forgotten(self._ledger.select(ErasureRecord))
        with Staging(directory, schema, number, now(), forgotten=forgotten) as staging:
            staging.paths = [source.path for source in inputs]
            read = stage(spec, inputs, staging, self._findings, self._progress)
            if spec.query is not None and self._ledger.get(LoadedFileRecord, spec.name, read[0].digest) is not None:
                return None
            self._check_key()
            keep = np.ones(staging.rows, bool)
            judge(spec, staging, keep, self._engine, self._findings)
            judge_unique(spec, staging, keep, self._engine, self._tables, self._findings)
            newest = newest_event(spec, staging, keep)
            accepted = int(keep.sum())
            judge_load(spec, accepted, newest, self._findings)
            load = LoadRecord(
                source=spec.name,
                number=number,
                status="begun",
                is_history=is_history,
                ingested_at=staging.at,
                rows_in=sum(one.rows for one in read),
                rows_accepted=accepted,
                rows_quarantined=staging.rejected,
                rows_ignored=staging.ignored,
                rows_forgotten=staging.dropped,
                version=None,
                findings=self._findings.found,
            )
            files = [LoadedFileRecord(spec.name, one.digest, one.path, number, one.rows) for one in read]
            mark = newest if watermark is None else watermark
            return self._commit(book.begun(load, files, schema, mark), staging, keep, stamps)

    def _check_key(self) -> None:
        """A query gives all of its rows anew: from the second load on only a key tells which of them are new."""
        spec = self._spec
        if spec.query is not None and not spec.key and book.held_schema(spec.name, self._ledger) is not None:
            raise DefinitionError(
                f"source:{spec.name}",
                "the query's result is not that of the load before, and no key tells which of its rows are new",
                mend='declare the columns that name a row: key="..."',
            )

    def _commit(self, load: LoadRecord, staging: Staging, keep: np.ndarray, stamps: Stamps | None) -> LoadRecord:
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
                self._tables.append(book.quarantine_table(load.source), staging.rejects(), key=key)
            rows = _accepted(staging, keep, stamps or _one_stamp(load))
            version = self._tables.append(book.sources_table(load.source), rows, key=key)
            return book.finish(load, version, self._ledger)
        except BaseException:
            book.resolve(load.source, self._tables, self._ledger)
            raise

    def _schema(self, inputs: list[Input]) -> Schema:
        """Declared, or held since the first load, or inferred from all that this first load reads."""
        spec = self._spec
        held = book.held_schema(spec.name, self._ledger)
        schema = spec.schema or held
        if schema is None:
            cells = first_read(spec, inputs, self._progress)
            schema = infer(cells, spec.timestamp, notation_of(spec), self._findings)
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


def _one_stamp(load: LoadRecord) -> Stamps:
    """All rows were taken in at the load's instant; history is known at its event times."""
    stamp = pa.scalar(None if load.is_history else load.ingested_at, pa.int64()).cast(_INSTANT)
    return lambda batch: pa.repeat(stamp, batch.num_rows)


def _accepted(staging: Staging, keep: np.ndarray, stamps: Stamps) -> pa.RecordBatchReader:
    """The kept rows with their system columns; ``_seq`` counts the load's staged rows, kept or not."""
    schema = pa.schema([*staging.schema.to_arrow(), (INGESTED_AT, _INSTANT), (SEQUENCE, pa.int64())])

    def batches() -> Iterator[pa.RecordBatch]:
        start = staging.number << SEQUENCE_SHIFT
        place = 0
        for batch in staging.read():
            rows = batch.num_rows
            columns = batch.drop_columns([FILE, LINE]).columns
            numbers = pa.array(np.arange(start + place, start + place + rows))
            whole = pa.record_batch([*columns, stamps(batch), numbers], schema=schema)
            mask = keep[place : place + rows]
            yield whole if mask.all() else whole.filter(pa.array(mask))
            place += rows

    return pa.RecordBatchReader.from_batches(schema, batches())
