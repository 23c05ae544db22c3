"""Arrow streams to Parquet data files with the statistics that a Delta log wants. Order is kept, memory bounded."""

from __future__ import annotations

import json
import math
import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from deltalake.transaction import AddAction

ROWS_PER_GROUP = 122_880
"""What DuckDB hands to one thread at a time."""
BYTES_PER_GROUP = 128 << 20
BYTES_PER_FILE = 256 << 20


class DataFiles:
    """Data files written next to a table and not yet in its log: `discard` takes them back."""

    def __init__(self, filesystem: pafs.FileSystem, directory: str) -> None:
        self._filesystem = filesystem
        self._directory = directory
        # Names sort in the order of writing, so that a snapshot lists its files as the rows came.
        self._stem = f"part-{time.time_ns():020d}-{uuid.uuid4().hex[:12]}"
        self._names: list[str] = []
        self.actions: list[AddAction] = []
        self.rows = 0

    def write(self, rows: pa.RecordBatchReader, schema: pa.Schema) -> None:
        """Write the whole stream in ``schema``; on any failure, an interrupt too, the files are taken back."""
        try:
            groups = _groups(rows, schema)
            group = next(groups, None)
            while group is not None:
                group = self._write_file(group, groups)
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        for name in self._names:
            if self._filesystem.get_file_info(f"{self._directory}/{name}").type != pafs.FileType.NotFound:
                self._filesystem.delete_file(f"{self._directory}/{name}")
        self._names, self.actions, self.rows = [], [], 0

    def are_in(self, uris: Sequence[str]) -> bool:
        """Whether a table that holds the files ``uris`` holds these."""
        return any(self._stem in uri for uri in uris)

    def _write_file(self, group: pa.Table, groups: Iterator[pa.Table]) -> pa.Table | None:
        """Write groups until the file is full; the first group of the next file, None at the stream's end."""
        name = f"{self._stem}-{len(self._names):05d}.parquet"
        self._names.append(name)
        path = f"{self._directory}/{name}"
        following: pa.Table | None = group
        with self._filesystem.open_output_stream(path) as sink:
            with _writer(sink, group.schema) as writer:
                while following is not None and sink.tell() < BYTES_PER_FILE:
                    writer.write_table(following)
                    following = next(groups, None)
            metadata = writer.writer.metadata
            size = sink.tell()
        self.rows += metadata.num_rows
        self.actions.append(AddAction(name, size, {}, time.time_ns() // 1_000_000, True, _told(metadata)))
        return following


def write_file(filesystem: pafs.FileSystem, path: str, rows: pa.RecordBatchReader) -> tuple[int, str]:
    """Write a stream to one data file; its size in bytes, and its statistics as the log has them."""
    with filesystem.open_output_stream(path) as sink:
        with _writer(sink, rows.schema) as writer:
            for group in _groups(rows, rows.schema):
                writer.write_table(group)
        return sink.tell(), _told(writer.writer.metadata)


def _writer(sink: Any, schema: pa.Schema) -> pq.ParquetWriter:
    # Numbers are written as they are: a dictionary of them costs more than half of the writing and saves little.
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    return pq.ParquetWriter(sink, schema, compression="snappy", use_dictionary=texts)


def _told(metadata: pq.FileMetaData) -> str:
    return json.dumps(statistics(metadata), ensure_ascii=False)


def _groups(rows: pa.RecordBatchReader, schema: pa.Schema) -> Iterator[pa.Table]:
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
