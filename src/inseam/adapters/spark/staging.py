"""A folder that the driver and the workers both see: where rows enter Spark and leave it, as Parquet."""

from __future__ import annotations

import os
import uuid
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from inseam.adapters.spark.session import BATCH_ROWS, running
from inseam.adapters.spark.shared import plain_stream
from inseam.adapters.spark.types import check_spelling
from inseam.ir.windows import EVENT_TIME
from inseam.kernel.clock import from_datetime
from inseam.ports.rows import Parts

ROW = "_row"
"""Numbers rows in their order: ``block << 33 | place within the block``, as Spark's own numbering does."""
BLOCK_BITS = 33
BLOCK_ROWS = 1 << 17
"""Rows a block of what the driver stages: a partition when they come back."""
_FILE_BLOCKS = 8


@dataclass
class Staged:
    """Rows that lie in the staging folder for as long as something refers to this."""

    folder: str
    schema: pa.Schema
    """Without `ROW`, which the files hold behind these columns."""
    files: list[str] = field(default_factory=list)
    rows: int = 0
    starts: list[int] = field(default_factory=list)
    """How many rows are before each block."""
    bytes: int = 0
    """What they take in memory, or nearly."""
    earliest: int | None = None
    latest: int | None = None
    """The extent of `EVENT_TIME` in UTC microseconds, where there is such a column and a row."""
    timeless: int = 0
    """Rows without an `EVENT_TIME`."""

    @property
    def blocks(self) -> int:
        return len(self.starts)


class Staging:
    """``place`` is a path or a URL. What is staged by this process is gone at the latest when it ends."""

    def __init__(self, place: str | Path) -> None:
        text = str(place)
        if "://" in text:
            self._filesystem, self._root = pafs.FileSystem.from_uri(text)
            self._prefix = text[: len(text) - len(self._root)] if text.endswith(self._root) else ""
        else:
            self._filesystem, self._root, self._prefix = pafs.LocalFileSystem(), str(Path(text).resolve()), "file://"

    @property
    def directory(self) -> Path | None:
        """The place where it is a directory: others than this module write there with Python's own means."""
        return Path(self._root) if isinstance(self._filesystem, pafs.LocalFileSystem) else None

    def folder(self, owner: Any) -> str:
        """A new folder's path, removed when ``owner`` is dropped."""
        path = f"{self._root}/spark-{os.getpid()}-{uuid.uuid4().hex[:12]}"
        weakref.finalize(owner, _remove, self._filesystem, path)
        return path

    def url(self, path: str) -> str:
        """A path as Spark names it."""
        return f"{self._prefix}{path}"

    def stage(self, rows: pa.RecordBatchReader) -> Staged:
        """Write a stream as it comes, in our own types, numbered by `ROW`."""
        check_spelling(rows.schema.names, "rows")
        plain = plain_stream(rows)
        staged = Staged("", plain.schema)
        staged.folder = self.folder(staged)
        self._filesystem.create_dir(staged.folder)
        schema = plain.schema.append(pa.field(ROW, pa.int64()))
        writer: pq.ParquetWriter | None = None
        for block, table in enumerate(_blocks(plain)):
            if block % _FILE_BLOCKS == 0:
                if writer is not None:
                    writer.close()
                path = f"{staged.folder}/part-{block:08d}.parquet"
                staged.files.append(self.url(path))
                writer = pq.ParquetWriter(path, schema, filesystem=self._filesystem, use_dictionary=False)
            _note(staged, table)
            number = pa.array(np.arange(table.num_rows) + (block << BLOCK_BITS))
            assert writer is not None
            writer.write_table(table.append_column(ROW, number).cast(schema), row_group_size=BLOCK_ROWS)
        if writer is not None:
            writer.close()
        return staged

    def deposit(self, frame: Any, schema: pa.Schema, subject: str, parts: Parts | None = None) -> Staged:
        """Have the workers write a DataFrame, numbered by `ROW`: a block a partition, so that the order is kept."""
        from pyspark.sql import functions as f

        check_spelling(schema.names, subject)
        staged = Staged("", schema)
        staged.folder = self.folder(staged)
        with running(subject, parts):
            numbered = frame.withColumn(ROW, f.monotonically_increasing_id())
            numbered.write.option("parquet.enable.dictionary", "false").parquet(self.url(staged.folder))
        infos = self._filesystem.get_file_info(pafs.FileSelector(staged.folder))
        for path in sorted(info.path for info in infos if info.base_name.startswith("part-")):
            staged.files.append(self.url(path))
            _note_file(staged, pq.read_metadata(path, filesystem=self._filesystem))
        return staged

    def read(self, staged: Staged) -> Iterator[pa.RecordBatch]:
        """What was deposited, in its order, a batch in memory at a time."""
        for url in staged.files:
            path = url.removeprefix(self._prefix)
            with pq.ParquetFile(path, filesystem=self._filesystem, pre_buffer=False, buffer_size=1 << 16) as file:
                for batch in file.iter_batches(BATCH_ROWS, columns=staged.schema.names, use_threads=False):
                    yield batch if batch.schema.equals(staged.schema) else batch.cast(staged.schema)


def _blocks(rows: pa.RecordBatchReader) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    room = BLOCK_ROWS
    for batch in rows:
        start = 0
        while batch.num_rows - start >= room:
            held.append(batch.slice(start, room))
            start += room
            yield pa.Table.from_batches(held, rows.schema)
            held, room = [], BLOCK_ROWS
        if start < batch.num_rows:
            held.append(batch.slice(start))
            room -= batch.num_rows - start
    if held:
        yield pa.Table.from_batches(held, rows.schema)


def _note(staged: Staged, table: pa.Table) -> None:
    staged.starts.append(staged.rows)
    staged.rows += table.num_rows
    staged.bytes += table.nbytes
    if _has_instants(staged):
        staged.timeless += table.column(EVENT_TIME).null_count
        ends = pc.min_max(table.column(EVENT_TIME).cast(pa.int64()))
        _stretch(staged, ends["min"].as_py(), ends["max"].as_py())


def _note_file(staged: Staged, footer: pq.FileMetaData) -> None:
    """What the footer of a deposited file says. Its cells are written plainly, so that they take what they take."""
    places = {footer.schema.column(place).name: place for place in range(footer.num_columns)}
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        block = group.column(places[ROW]).statistics.max >> BLOCK_BITS
        # A block without a row has no file: it begins where the next one does.
        staged.starts += [staged.rows] * (block + 1 - staged.blocks)
        staged.rows += group.num_rows
        staged.bytes += group.total_byte_size
        if _has_instants(staged):
            found = group.column(places[EVENT_TIME]).statistics
            staged.timeless += found.null_count
            if found.has_min_max:
                _stretch(staged, from_datetime(found.min), from_datetime(found.max))


def _has_instants(staged: Staged) -> bool:
    return EVENT_TIME in staged.schema.names and pa.types.is_timestamp(staged.schema.field(EVENT_TIME).type)


def _stretch(staged: Staged, low: int | None, high: int | None) -> None:
    if low is not None and high is not None:
        staged.earliest = low if staged.earliest is None else min(low, staged.earliest)
        staged.latest = high if staged.latest is None else max(high, staged.latest)


def _remove(filesystem: pafs.FileSystem, path: str) -> None:
    if filesystem.get_file_info(path).type == pafs.FileType.Directory:
        filesystem.delete_dir(path)
