"""From blocks of cells to staged rows of the source's schema; cells without a value of their type to quarantine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inseam.ir.checks import SourceSpec
from inseam.kernel.errors import DataError
from inseam.kernel.names import did_you_mean
from inseam.kernel.types import Schema
from inseam.ports.progress import Progress
from inseam.stages.ingest.cells import Cells, Reject
from inseam.stages.ingest.finding import Findings
from inseam.stages.ingest.inputs import Input
from inseam.stages.ingest.instants import InstantRule
from inseam.stages.ingest.staging import Staging
from inseam.stages.ingest.types import read_as
from inseam.stages.ingest.values import as_json


@dataclass(frozen=True, slots=True)
class InputRows:
    """One input as it was read."""

    path: str
    digest: str
    rows: int


def rule_of(spec: SourceSpec) -> InstantRule:
    return InstantRule(spec.timezone, spec.ambiguous, spec.timestamp_formats)


def blocks(spec: SourceSpec, source: Input, progress: Progress, what: str, done: int, total: int) -> Iterator[Cells]:
    """An input's blocks with its columns renamed, reporting bytes (or a query's rows) as they are read."""
    is_query = source.size is None

    def advance(count: int) -> None:
        progress(what, count if is_query else done + min(count, source.size or 0), None if is_query else total)

    names = dict(spec.rename)
    for cells in source.read(advance):
        if names:
            cells.columns = {names.get(name, name): column for name, column in cells.columns.items()}
        yield cells


def all_blocks(spec: SourceSpec, inputs: list[Input], progress: Progress, what: str) -> Iterator[Cells]:
    """The blocks of all inputs, in order."""
    total = sum(source.size or 0 for source in inputs)
    done = 0
    for source in inputs:
        yield from blocks(spec, source, progress, what, done, total)
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
        reader = _Reader(spec, staging, source.path, place, findings)
        for cells in blocks(spec, source, progress, what, done, total):
            reader.take(cells)
        found.append(InputRows(source.path, source.digest, reader.rows))
        done += source.size or 0
    return found


class _Reader:
    """Reads the blocks of one input."""

    def __init__(self, spec: SourceSpec, staging: Staging, path: str, place: int, findings: Findings) -> None:
        self._spec, self._staging, self._path, self._place = spec, staging, path, place
        self._rule = rule_of(spec)
        self._findings = findings
        self._noted: set[str] = set()
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
            values, found = read_as(cell, field.type, self._rule)
            for row, why in found.items():
                faults.setdefault(row, f"{field.name}: {cell[row].as_py()!r} {why}")
            columns.append(values)
        self._need(schema, columns, faults)
        self._write(cells, columns, faults)

    def _need(self, schema: Schema, columns: list[pa.Array], faults: dict[int, str]) -> None:
        """NULL has no place in the timestamp and in the key."""
        roles = dict.fromkeys(self._spec.key, "part of the source's key")
        roles[self._spec.timestamp] = "the source's timestamp"
        for name, role in roles.items():
            column = columns[schema.names.index(name)]
            if column.null_count:
                for row in np.flatnonzero(pc.is_null(column).to_numpy(zero_copy_only=False)).tolist():
                    faults.setdefault(row, f"{name}: it is empty, and it is {role}")

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

    def _compare(self, cells: Cells, schema: Schema) -> None:
        """Note columns that the schema lacks; refuse an input without the timestamp or a key column."""
        for name in cells.columns:
            if name not in schema:
                self._note("columns.extra", f"{self._path}: {name}")
        if not cells.has_header:
            return
        for name in schema.names:
            if name in cells.columns:
                continue
            if name == self._spec.timestamp or name in self._spec.key:
                raise DataError(
                    f"source:{self._spec.name}",
                    f"{self._path} has no column {name!r}, which is the source's timestamp or part of its key",
                    mend=did_you_mean(name, cells.columns),
                )
            self._note("columns.missing", f"{self._path}: {name}")

    def _note(self, name: str, example: str) -> None:
        if f"{name} {example}" not in self._noted:
            self._noted.add(f"{name} {example}")
            self._findings.add(name, "schema", "warn", 1, [example])


def _rejects(cells: Cells, faults: Mapping[int, str]) -> list[Reject]:
    rows = sorted(faults)
    whole = pa.record_batch(list(cells.columns.values()), names=list(cells.columns))
    raws = map(as_json, whole.take(pa.array(rows)).to_pylist())
    lines = cells.lines.take(pa.array(rows)).to_pylist()
    return [Reject(line, faults[row], raw) for row, line, raw in zip(rows, lines, raws, strict=True)]
