"""Arrow streams to Parquet data files with the statistics that a Delta log wants. Order is kept, memory bounded."""

from __future__ import annotations

import json
import math
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.transaction import AddAction

from inseam.adapters.delta.location import Location
from inseam.ir.relation import SEQUENCE
from inseam.kernel.errors import DataError
from inseam.ports.rows import Batches, Given, Parts, watched

ROWS_PER_GROUP = 122_880
"""What DuckDB hands to one thread at a time."""
BYTES_PER_GROUP = 128 << 20
BYTES_PER_FILE = 256 << 20


class Written(NamedTuple):
    """A data file: its name, its size in bytes, its rows, its statistics as the log has them."""

    name: str
    size: int
    rows: int
    statistics: str


class DataFiles:
    """Data files written next to a table and not yet in its log: `discard` takes them back."""

    def __init__(self, location: Location, table: str) -> None:
        self._location, self._table = location, table
        instant = time.time_ns()
        self._milliseconds = instant // 1_000_000
        # Names sort in the order of the rows, so that a snapshot lists its files as the rows came.
        self._stem = f"part-{instant:020d}-{uuid.uuid4().hex[:12]}"
        self.actions: list[AddAction] = []
        self.rows = 0

    def write(
        self,
        rows: Given,
        schema: pa.Schema,
        seen: Callable[[int], None] | None = None,
        parts: Parts | None = None,
    ) -> None:
        """Write all rows in ``schema``, where they are; on any failure, an interrupt too, the files are taken back."""
        self._location.filesystem.create_dir(self._location.path(self._table))
        write = partial(write_part, self._location, self._table, self._stem, schema)
        try:
            is_stream = isinstance(rows, pa.RecordBatchReader)
            written = [write(0, watched(rows, seen))] if is_stream else rows.consume(write, seen, parts)
        except BaseException:
            self.discard()
            raise
        for file in chain.from_iterable(written):
            self.actions.append(AddAction(file.name, file.size, {}, self._milliseconds, True, file.statistics))
            self.rows += file.rows
        if seen is not None:
            seen(self.rows)

    def discard(self) -> None:
        directory = self._location.path(self._table)
        for name in self._location.names(self._table):
            if name.startswith(self._stem):
                self._location.filesystem.delete_file(f"{directory}/{name}")
        self.actions, self.rows = [], 0

    def are_in(self, uris: Sequence[str]) -> bool:
        """Whether a table that holds the files ``uris`` holds these."""
        return any(self._stem in uri for uri in uris)


def write_part(
    location: Location, table: str, stem: str, schema: pa.Schema, part: int, batches: Batches
) -> list[Written]:
    """One part of the rows as data files, none where it has no row."""
    # A worker that was given up may still write: it and its successor never write one file.
    attempt = uuid.uuid4().hex[:8]
    written: list[Written] = []
    with location.faults():
        groups = _groups(batches, schema)
        try:
            group = next(groups, None)
            while group is not None:
                name = f"{stem}-{part:05d}-{len(written):05d}-{attempt}.parquet"
                with location.filesystem.open_output_stream(f"{location.path(table)}/{name}") as sink:
                    group, size, footer = _fill(sink, group, groups)
                written.append(Written(name, size, footer.num_rows, _told(footer)))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(f"table {table!r}", f"the rows cannot be stored: {error}") from error
        location.make_durable(*(f"{location.path(table)}/{file.name}" for file in written))
    return written


def _fill(sink: Any, group: pa.Table, groups: Iterator[pa.Table]) -> tuple[pa.Table | None, int, pq.FileMetaData]:
    """Write groups until the file is full; the first group of the next one, with this file's size and footer."""
    following: pa.Table | None = group
    with _writer(sink, group.schema) as writer:
        while following is not None and sink.tell() < BYTES_PER_FILE:
            writer.write_table(following)
            following = next(groups, None)
    return following, sink.tell(), writer.writer.metadata


def write_file(location: Location, path: str, rows: pa.RecordBatchReader) -> tuple[int, str]:
    """Write a stream to one data file; its size in bytes, and its statistics as the log has them."""
    with location.filesystem.open_output_stream(path) as sink:
        with _writer(sink, rows.schema) as writer:
            for group in _groups(rows, rows.schema):
                writer.write_table(group)
        size = sink.tell()
    location.make_durable(path)
    return size, _told(writer.writer.metadata)


def _writer(sink: Any, schema: pa.Schema) -> pq.ParquetWriter:
    # Files are read more often than written. Numbers that differ would cost more in a dictionary than all the rest.
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    rising = {SEQUENCE: "DELTA_BINARY_PACKED"} if SEQUENCE in schema.names else None
    return pq.ParquetWriter(sink, schema, compression="lz4", use_dictionary=texts, column_encoding=rising)


def _told(metadata: pq.FileMetaData) -> str:
    return json.dumps(statistics(metadata), ensure_ascii=False)


def _groups(rows: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """The stream as tables of one row group each."""
    held: list[pa.RecordBatch] = []
    count = size = 0
    for batch in rows:
        for start in range(0, batch.num_rows, ROWS_PER_GROUP):
            part = batch.slice(start, ROWS_PER_GROUP)
            if held and (count + part.num_rows > ROWS_PER_GROUP or size + part.nbytes > BYTES_PER_GROUP):
                yield pa.Table.from_batches(held).cast(schema)
                held, count, size = [], 0, 0
            held.append(part)
            count += part.num_rows
            size += part.nbytes
    if held:
        yield pa.Table.from_batches(held).cast(schema)


def statistics(metadata: pq.FileMetaData) -> dict[str, Any]:
    """Delta's per-file statistics from a Parquet footer: row count, and by column least, greatest, NULLs."""
    least: dict[str, Any] = {}
    greatest: dict[str, Any] = {}
    nulls: dict[str, int] = {}
    for index in range(metadata.num_columns):
        chunks = [metadata.row_group(group).column(index) for group in range(metadata.num_row_groups)]
        found = [chunk.statistics for chunk in chunks]
        if any(one is None or not one.has_null_count for one in found):
            continue
        name = metadata.schema.column(index).path
        nulls[name] = sum(one.null_count for one in found)
        # A group of NULLs alone has no extremes; any other group without them makes the file's unknown.
        extremes = [one for one in found if one.has_min_max]
        if extremes and all(one.has_min_max or one.num_values == 0 for one in found):
            low, high = min(one.min for one in extremes), max(one.max for one in extremes)
            if not any(isinstance(bound, float) and math.isinf(bound) for bound in (low, high)):
                least[name], greatest[name] = _plain(low), _plain(high, is_upper=True)
    return {"numRecords": metadata.num_rows, "minValues": least, "maxValues": greatest, "nullCount": nulls}


def _plain(value: Any, *, is_upper: bool = False) -> Any:
    """A statistic as JSON, in full microseconds. Long texts are cut; an upper bound stays one by its last character."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str) and len(value) > 32:
        return value[:32] + ("\U0010ffff" if is_upper else "")
    return value
