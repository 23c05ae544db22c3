"""Streams in, streams out: row-wise expressions and sorting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from inseam.adapters.duckdb.expression import check_expression
from inseam.adapters.duckdb.session import Limits, Session, plain_schema, quote
from inseam.kernel.errors import DataError
from inseam.kernel.names import did_you_mean
from inseam.kernel.types import Schema

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


def sort(limits: Limits, rows: pa.RecordBatchReader, by: Sequence[str]) -> pa.RecordBatchReader:
    """Ascending, NULLs first; rows that tie stay in their order."""
    for name in by:
        if name not in rows.schema.names:
            raise DataError("sort", f"there is no column {name!r}", mend=did_you_mean(name, rows.schema.names))
    session = Session(limits)
    try:
        names = ", ".join(quote(name) for name in rows.schema.names)
        keys = ", ".join(f"{quote(name)} ASC NULLS FIRST" for name in (*by, ROW))
        session.register("input_rows", numbered(rows))
        return session.stream(f"SELECT {names} FROM (SELECT * FROM input_rows ORDER BY {keys})", "sort")
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
