"""From blocks of cells to staged rows of the source's schema; cells without a value of their type to quarantine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inseam.ir.checks import CheckKind, Severity, SourceSpec
from inseam.kernel.errors import DataError, Problem
from inseam.kernel.names import nearest
from inseam.kernel.types import Schema
from inseam.ports.progress import Progress
from inseam.stages.ingest.cells import Cells, Reject
from inseam.stages.ingest.finding import Findings
from inseam.stages.ingest.inputs import Input
from inseam.stages.ingest.notation import notation_of
from inseam.stages.ingest.staging import Staging
from inseam.stages.ingest.types import read_as
from inseam.stages.ingest.values import as_json, as_values


@dataclass(frozen=True, slots=True)
class InputRows:
    """One input as it was read."""

    path: str
    digest: str
    rows: int


def _blocks(
    spec: SourceSpec, source: Input, progress: Progress, what: str, done: int, total: int, *, is_again: bool = False
) -> Iterator[Cells]:
    """An input's blocks with its columns renamed, reporting bytes (or a query's rows) as they are read."""
    is_query = source.size is None

    def advance(count: int) -> None:
        progress(what, count if is_query else done + min(count, source.size or 0), None if is_query else total)

    names = dict(spec.rename)
    for cells in source.read(advance, is_again=is_again):
        if names:
            cells.columns = {names.get(name, name): column for name, column in cells.columns.items()}
        yield cells


def first_read(spec: SourceSpec, inputs: list[Input], progress: Progress) -> Iterator[Cells]:
    """The blocks of all inputs, in order, before `stage` reads them again."""
    what = f"infer {spec.name}"
    total = sum(source.size or 0 for source in inputs)
    done = 0
    for source in inputs:
        yield from _blocks(spec, source, progress, what, done, total, is_again=True)
        done += source.size or 0


def stage(
    spec: SourceSpec, inputs: list[Input], staging: Staging, findings: Findings, progress: Progress
) -> list[InputRows]:
    """Read all inputs into ``staging``. For each input ``rows`` counts its records, staged and rejected."""
    what = f"ingest {spec.name}"
    total = sum(source.size or 0 for source in inputs)
    done = 0
    found: list[InputRows] = []
    for place, source in enumerate(inputs):
        reader = _Reader(spec, staging, source.path, place, findings if source.is_first else Findings())
        for cells in _blocks(spec, source, progress, what, done, total):
            reader.take(cells)
        reader.finish()
        found.append(InputRows(source.path, source.digest, reader.rows))
        done += source.size or 0
    return found


class _Reader:
    """Reads the blocks of one input."""

    def __init__(self, spec: SourceSpec, staging: Staging, path: str, place: int, findings: Findings) -> None:
        self._spec, self._staging, self._path, self._place = spec, staging, path, place
        self._notation = notation_of(spec)
        self._findings = findings
        self._noted: set[str] = set()
        self._needed = _needed(spec)
        self._columns: dict[str, None] = {}
        self._has_records = False
        self.rows = 0

    def take(self, cells: Cells) -> None:
        schema = self._staging.schema
        self._compare(cells, schema)
        columns: list[pa.Array] = []
        faults: dict[int, str] = {}
        for field in schema:
            cell = cells.columns.get(field.name)
            if cell is None:
                cell = pa.nulls(cells.rows, pa.string())
            values, found = read_as(cell, field.type, self._notation)
            for row, why in found.items():
                faults.setdefault(row, f"{field.name}: {as_values(cell.slice(row, 1))[0]!r} {why}")
            columns.append(values)
        self._need(schema, columns, faults)
        self._write(cells, columns, faults)

    def _need(self, schema: Schema, columns: list[pa.Array], faults: dict[int, str]) -> None:
        """NULL has no place in the timestamp and in the key."""
        for name in (self._spec.timestamp, *self._spec.key):
            column = columns[schema.names.index(name)]
            if column.null_count:
                for row in np.flatnonzero(pc.is_null(column).to_numpy(zero_copy_only=False)).tolist():
                    faults.setdefault(row, f"{name}: it is empty, and it is {self._needed[name]}")

    def _write(self, cells: Cells, columns: list[pa.Array], faults: Mapping[int, str]) -> None:
        columns = [*columns, pa.array(np.full(cells.rows, self._place, np.int32)), cells.lines.cast(pa.int64())]
        batch = pa.record_batch(columns, schema=self._staging.arrow_schema)
        rejects = list(cells.rejects)
        if faults:
            keep = np.ones(cells.rows, bool)
            keep[list(faults)] = False
            batch = batch.filter(pa.array(keep))
            rejects += _rejects(cells, faults)
        if batch.num_rows:
            self._staging.add(batch)
        self._staging.reject(self._path, rejects)
        self.rows += cells.rows + len(cells.rejects)

    def finish(self) -> None:
        """The input is read. Columns that none of its records had are missing now where there was no header to tell."""
        if self._has_records:
            self._miss([name for name in self._staging.schema.names if name not in self._columns])

    def _compare(self, cells: Cells, schema: Schema) -> None:
        """Note the columns that come, and as soon as it is known those that do not."""
        self._columns.update(dict.fromkeys(cells.columns))
        self._has_records = self._has_records or cells.rows > 0
        for name in cells.columns:
            if name not in schema:
                self._note("columns.extra", f"{self._path}: {name}")
        if cells.has_header:
            self._miss([name for name in schema.names if name not in cells.columns])

    def _miss(self, names: list[str]) -> None:
        """Refuse an input without a column that rows cannot do without; note any other."""
        unknown = [name for name in self._columns if name not in self._staging.schema]
        problems: list[Problem] = []
        for name in names:
            near = nearest(name, unknown)
            if name in self._needed:
                problems.append(
                    Problem(
                        DataError.code,
                        f"source:{self._spec.name}",
                        f"{self._path} has no column {name!r}, which is {self._needed[name]}",
                        expected=f"one of its columns: {', '.join(self._columns)}",
                        mend=f'did you mean {near!r}? then rename={{"{near}": "{name}"}}' if near else "",
                    )
                )
            self._note("columns.missing", f"{self._path}: {name}" + (f", did you mean {near!r}?" if near else ""))
        if problems:
            raise DataError.of(problems)

    def _note(self, name: str, example: str) -> None:
        if f"{name} {example}" not in self._noted:
            self._noted.add(f"{name} {example}")
            self._findings.add(name, "schema", "warn", 1, [example])


def _needed(spec: SourceSpec) -> dict[str, str]:
    """The columns without which no row of an input could be used, each with the reason."""
    needed = {
        name: f"not NULL by check {check.name}"
        for check in spec.checks
        if check.kind is CheckKind.NOT_NULL and check.severity is Severity.ERROR
        for name in check.columns
    }
    needed |= dict.fromkeys(spec.entity_keys, "an entity's key")
    return needed | dict.fromkeys(spec.key, "part of the source's key") | {spec.timestamp: "the source's timestamp"}


def _rejects(cells: Cells, faults: Mapping[int, str]) -> list[Reject]:
    rows = sorted(faults)
    columns = [as_values(column.take(pa.array(rows))) for column in cells.columns.values()]
    raws = [as_json(dict(zip(cells.columns, row, strict=True))) for row in zip(*columns, strict=True)]
    lines = cells.lines.take(pa.array(rows)).to_pylist()
    return [Reject(line, faults[row], raw) for row, line, raw in zip(rows, lines, raws, strict=True)]
