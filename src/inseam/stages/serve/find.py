"""Finds a served prediction by id: in the log's segments first, then in the endpoint's table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from inseam.kernel.errors import NotFoundError
from inseam.ports.tables import Tables
from inseam.stages.serve import segment
from inseam.stages.serve.columns import predictions_arrow, to_record
from inseam.stages.serve.compact import PREDICTIONS
from inseam.stages.serve.ids import endpoint_tag, format_id, id_instant, id_tag, parse_id
from inseam.stages.serve.record import Batch, Context, PredictionRecord

if TYPE_CHECKING:
    import pyarrow as pa

_MILLISECOND = 1_000


def find_prediction(directory: Path, tables: Tables, prediction: str) -> PredictionRecord | None:
    """The record of a prediction that was answered; None when there is none. `NotFoundError` for a malformed id."""
    number = parse_id(prediction)
    if number is None:
        raise NotFoundError(f"prediction {prediction}", "this is no prediction id", expected="a UUID of version 7")
    # A compaction may move the record from a segment to the table between the two looks: look once more.
    return (
        _in_segments(directory, number) or _in_tables(tables, number) or _in_segments(directory, number)
    ) or _in_tables(tables, number)


def _in_segments(directory: Path, number: int) -> PredictionRecord | None:
    paths = [*directory.glob(f"*{segment.OPEN}"), *directory.glob(f"*{segment.SEALED}")] if directory.is_dir() else []
    for path in paths:
        for candidate in (path, path.with_suffix(segment.SEALED)):
            try:
                found = _in_segment(candidate, number)
            except FileNotFoundError:
                continue
            if found is not None:
                return found
            break
    return None


def _in_segment(path: Path, number: int) -> PredictionRecord | None:
    wanted = number.to_bytes(16, "big")
    contexts: dict[str, Context] = {}
    for entries in segment.read(path):
        for entry in entries:
            if isinstance(entry, Context):
                contexts[entry.id] = entry
            elif isinstance(entry, Batch):
                place = _place(entry.ids, wanted)
                if place is not None:
                    context = contexts[entry.context]
                    return _record(context.endpoint, predictions_arrow(context, [entry]).slice(place, 1))
    return None


def _place(ids: bytes, wanted: bytes) -> int | None:
    start = ids.find(wanted)
    while start >= 0 and start % 16:
        start = ids.find(wanted, start + 1)
    return start // 16 if start >= 0 else None


def _in_tables(tables: Tables, number: int) -> PredictionRecord | None:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    at = id_instant(number)
    instant = pa.timestamp("us", tz="UTC")
    # The id says when: row groups of other instants are left out by their statistics.
    when = (pc.field("at") >= pa.scalar(at, instant)) & (pc.field("at") < pa.scalar(at + _MILLISECOND, instant))
    for table in tables.list():
        head, _, endpoint = table.partition("/")
        if head != PREDICTIONS or endpoint_tag(endpoint) != id_tag(number):
            continue
        snapshot = tables.snapshot(table)
        if not snapshot.files:
            continue
        schema = snapshot.schema.to_arrow()
        data = ds.dataset(list(snapshot.files), schema=schema, format="parquet", filesystem=tables.files)
        rows = data.to_table(filter=when & (pc.field("id") == format_id(number)))
        if rows.num_rows:
            return _record(endpoint, rows.slice(0, 1))
    return None


def _record(endpoint: str, row: pa.Table) -> PredictionRecord:
    return to_record(endpoint, {name: _plain(row[name]) for name in row.column_names})


def _plain(column: pa.ChunkedArray) -> Any:
    """The first cell: instants as microseconds, dates as days."""
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    elif pa.types.is_date(column.type):
        column = column.cast(pa.date32()).cast(pa.int32())
    return column[0].as_py()
