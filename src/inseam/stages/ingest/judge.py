"""The checks of rows: who breaks an ``error`` check goes to quarantine, who breaks a ``warn`` check is counted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inseam.ir.checks import CheckKind, CheckSpec, Severity, SourceSpec
from inseam.kernel.clock import parse_instant
from inseam.kernel.errors import DefinitionError
from inseam.kernel.names import did_you_mean
from inseam.kernel.types import Schema
from inseam.ports.engine import Engine
from inseam.stages.ingest.cells import Reject
from inseam.stages.ingest.finding import Findings
from inseam.stages.ingest.staging import FILE, LINE, Staging
from inseam.stages.ingest.values import as_json

_WORD = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")


def judge(spec: SourceSpec, staging: Staging, keep: np.ndarray, engine: Engine, findings: Findings) -> None:
    """Clear ``keep`` (bool, a place for each staged row) for the rows that break an error check, and reject them."""
    checks = row_checks(spec)
    for check in checks:
        check_columns(spec, check, staging.schema)
    if not checks:
        return
    judgement = _Judgement(spec, staging, keep, findings)
    start = 0
    for batch, verdicts in _with_verdicts(checks, staging, engine):
        for check in checks:
            broken = _broken(check, batch, verdicts)
            judgement.take(check, batch, broken, start)
        start += batch.num_rows


def row_checks(spec: SourceSpec) -> list[CheckSpec]:
    """The checks that a row alone decides."""
    return [check for check in spec.checks if not check.kind.is_of_load and check.kind is not CheckKind.UNIQUE]


def broken_rows(spec: SourceSpec, checks: Sequence[CheckSpec], batch: pa.RecordBatch, engine: Engine) -> dict[int, str]:
    """By row of a small batch: the first of these checks that it breaks, in words."""
    schema = Schema.from_arrow(batch.schema)
    for check in checks:
        check_columns(spec, check, schema)
    expressions = {check.name: check.expression or "true" for check in checks if check.kind is CheckKind.EXPRESSION}
    verdicts: dict[str, pa.Array] = {}
    if expressions:
        rows = pa.RecordBatchReader.from_batches(batch.schema, [batch])
        table = engine.evaluate(rows, expressions).reader().read_all()
        verdicts = {name: table.column(name).combine_chunks().cast(pa.bool_()) for name in expressions}
    found: dict[int, str] = {}
    for check in checks:
        broken = pc.fill_null(_broken(check, batch, verdicts), False).to_numpy(zero_copy_only=False)
        places = np.flatnonzero(broken)
        for place, record in zip(places.tolist(), records(batch, places), strict=True):
            found.setdefault(place, describe(check, record))
    return found


def check_columns(spec: SourceSpec, check: CheckSpec, schema: Schema) -> None:
    for name in check.columns:
        if name not in schema:
            raise DefinitionError(
                f"source:{spec.name}",
                f"check {check.name!r} names column {name!r}, which is not there",
                mend=did_you_mean(name, schema.names),
            )


class _Judgement:
    def __init__(self, spec: SourceSpec, staging: Staging, keep: np.ndarray, findings: Findings) -> None:
        self._spec, self._staging, self._keep, self._findings = spec, staging, keep, findings

    def take(self, check: CheckSpec, batch: pa.RecordBatch, broken: pa.Array, start: int) -> None:
        """Judge a batch, whose first row is the staged row ``start``, by one check."""
        rows = np.flatnonzero(pc.fill_null(broken, False).to_numpy(zero_copy_only=False))
        rows = rows[self._keep[start + rows]]
        if not len(rows):
            return
        severity = check.severity.value
        wanted = [describe(check, record) for record in records(batch, rows[: self._findings.room(check.name)])]
        self._findings.add(check.name, check.kind.value, severity, len(rows), wanted)
        if check.severity is Severity.ERROR:
            reject_rows(self._staging, check, batch, rows)
            self._keep[start + rows] = False


def records(batch: pa.RecordBatch, rows: np.ndarray) -> list[dict[str, Any]]:
    """A few rows of a batch as Python values."""
    found: list[dict[str, Any]] = batch.take(pa.array(rows)).to_pylist()
    return found


def reject_rows(staging: Staging, check: CheckSpec, batch: pa.RecordBatch, rows: np.ndarray, tail: str = "") -> None:
    """Send rows of a staged batch to quarantine, with their file, line and cells; ``tail`` ends the reason."""
    names = staging.schema.names
    for record in records(batch, rows):
        raw = as_json({name: record[name] for name in names})
        reject = Reject(record[LINE], describe(check, record) + tail, raw, check.name)
        staging.reject(staging.paths[record[FILE]], [reject])


def describe(check: CheckSpec, record: Mapping[str, Any]) -> str:
    """The check, the columns that it looks at, and their values in this row."""
    names: tuple[str, ...] = check.columns
    if check.expression is not None:
        used = set(_WORD.findall(check.expression))
        names = tuple(name for name in record if name in used)
    values = ", ".join(f"{name} = {_show(record[name])}" for name in names)
    what = check.expression or _rule(check)
    return f"check {check.name}: {what} does not hold for {values}" if values else f"check {check.name}: {what}"


def _rule(check: CheckSpec) -> str:
    if check.kind is CheckKind.ONE_OF:
        return f"one of {', '.join(map(repr, check.arguments))}"
    if check.kind is CheckKind.BETWEEN:
        low, high = check.arguments
        return f"between {'any' if low is None else low} and {'any' if high is None else high}"
    return check.kind.value.replace("_", " ")


def _show(value: Any) -> str:
    return "NULL" if value is None else repr(value) if isinstance(value, str) else str(value)


def _broken(check: CheckSpec, batch: pa.RecordBatch, verdicts: Mapping[str, pa.Array]) -> pa.Array:
    """bool a row, NULL where the check has no opinion."""
    if check.kind is CheckKind.EXPRESSION:
        return pc.invert(verdicts[check.name])
    found = pa.array(np.zeros(batch.num_rows, bool))
    for name in check.columns:
        column = batch.column(name)
        if check.kind is CheckKind.NOT_NULL:
            broken = pc.is_null(column)
        elif check.kind is CheckKind.ONE_OF:
            allowed = pa.array([_argument(value, column.type) for value in check.arguments], column.type)
            broken = pc.and_(pc.is_valid(column), pc.invert(pc.is_in(column, value_set=allowed)))
        else:
            broken = _outside(column, *check.arguments)
        found = pc.or_(found, pc.fill_null(broken, False))
    return found


def _outside(column: pa.Array, low: Any, high: Any) -> pa.Array:
    broken = pa.array(np.zeros(len(column), bool))
    if low is not None:
        broken = pc.or_kleene(broken, pc.less(column, _argument(low, column.type)))
    if high is not None:
        broken = pc.or_kleene(broken, pc.greater(column, _argument(high, column.type)))
    return broken


def _argument(value: Any, type_: pa.DataType) -> pa.Scalar:
    """A check's argument in the column's type; instants may be ISO texts."""
    if isinstance(value, str) and pa.types.is_timestamp(type_):
        return pa.scalar(parse_instant(value), pa.int64()).cast(type_)
    if isinstance(value, str) and not pa.types.is_string(type_):
        return pa.scalar(value).cast(type_)
    if pa.types.is_integer(type_) and isinstance(value, float):
        return pa.scalar(value, pa.float64())
    return pa.scalar(value, type_)


def _with_verdicts(
    checks: list[CheckSpec], staging: Staging, engine: Engine
) -> Iterator[tuple[pa.RecordBatch, dict[str, pa.Array]]]:
    """Staged batches with a bool column for each expression check, which the engine evaluates in one stream."""
    expressions = {check.name: check.expression or "true" for check in checks if check.kind is CheckKind.EXPRESSION}
    if not expressions:
        for batch in staging.read():
            yield batch, {}
        return
    names = list(staging.schema.names)
    rows = pa.RecordBatchReader.from_batches(
        staging.schema.to_arrow(), (batch.select(names) for batch in staging.read())
    )
    verdicts = _Aligned(engine.evaluate(rows, expressions).reader())
    for batch in staging.read():
        found = verdicts.take(batch.num_rows)
        yield batch, {name: found.column(name).combine_chunks().cast(pa.bool_()) for name in expressions}


class _Aligned:
    """A stream, taken in portions that its batches don't decide."""

    def __init__(self, reader: pa.RecordBatchReader) -> None:
        self._reader = reader
        self._held: list[pa.RecordBatch] = []

    def take(self, count: int) -> pa.Table:
        taken: list[pa.RecordBatch] = []
        while count:
            batch = self._held.pop() if self._held else self._reader.read_next_batch()
            if batch.num_rows > count:
                self._held.append(batch.slice(count))
                batch = batch.slice(0, count)
            taken.append(batch)
            count -= batch.num_rows
        return pa.Table.from_batches(taken, self._reader.schema)
