"""Streams in, streams out: row-wise expressions, and rows that repeat."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from inseam.adapters.duckdb.expression import check_expression
from inseam.adapters.duckdb.relation import Compiled, read
from inseam.adapters.duckdb.session import Limits, Session, plain_schema, quote
from inseam.ir.relation import Relation
from inseam.kernel.errors import DataError
from inseam.kernel.names import did_you_mean
from inseam.kernel.types import Schema
from inseam.ports.tables import Snapshot

Compile = Callable[[Relation, Session], tuple[Snapshot, Compiled]]
ROW = "_row"
"""Numbers the rows of a stream, where their order must survive a sort."""


def evaluate(limits: Limits, rows: pa.RecordBatchReader, expressions: Mapping[str, str]) -> pa.RecordBatchReader:
    """Exactly the named columns, a row for each row."""
    session = Session(limits)
    try:
        schema = Schema.from_arrow(rows.schema)
        for name, text in expressions.items():
            check_expression(text, schema, name, session)
        session.register("input_rows", plain_stream(rows))
        selected = ", ".join(f"({text}\n) AS {quote(name)}" for name, text in expressions.items())
        return session.stream(f"SELECT {selected} FROM input_rows", ", ".join(expressions))
    except BaseException:
        session.close()
        raise


def repeated(
    limits: Limits, rows: pa.RecordBatchReader, by: Sequence[str], held: Relation | None, compile_: Compile
) -> pa.RecordBatchReader:
    """The places of the rows that equal an earlier one or a row of ``held``."""
    for name in by:
        if name not in rows.schema.names:
            raise DataError("repeated", f"there is no column {name!r}", mend=did_you_mean(name, rows.schema.names))
    session = Session(limits)
    try:
        keys = ", ".join(quote(name) for name in by)
        session.register("stream", numbered(rows))
        whole = " AND ".join(f"{quote(name)} IS NOT NULL" for name in by)
        session.run(f"CREATE TEMP TABLE input_rows AS SELECT {keys}, {ROW} FROM stream WHERE {whole}", "repeated")
        place = f"row_number() OVER (PARTITION BY {keys} ORDER BY {ROW})"
        found = f"SELECT {ROW} FROM (SELECT {ROW}, {place} AS _place FROM input_rows) WHERE _place > 1"
        if held is not None:
            snapshot, source = compile_(held, session)
            # An inner join: only for that one DuckDB skips the row groups whose bounds hold none of the keys.
            body = source.over(read(snapshot))
            found += f" UNION SELECT {ROW} FROM (SELECT {keys} FROM ({body})) JOIN input_rows USING ({keys})"
        return session.stream(f"SELECT {ROW} AS row FROM ({found}) ORDER BY {ROW}", "repeated")
    except BaseException:
        session.close()
        raise


def plain_stream(rows: pa.RecordBatchReader) -> pa.RecordBatchReader:
    """The stream in our own types: dictionaries unfolded, narrow numbers widened."""
    plain = plain_schema(rows.schema)
    if rows.schema.equals(plain):
        return rows
    return pa.RecordBatchReader.from_batches(plain, (batch.cast(plain) for batch in rows))


def numbered(rows: pa.RecordBatchReader) -> pa.RecordBatchReader:
    """The stream in plain types with `ROW` behind its columns."""
    plain = plain_schema(rows.schema)
    schema = plain.append(pa.field(ROW, pa.int64()))

    def batches() -> Iterator[pa.RecordBatch]:
        start = 0
        for batch in rows:
            number = pa.array(np.arange(start, start + batch.num_rows))
            start += batch.num_rows
            yield pa.record_batch([*batch.cast(plain).columns, number], schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())
