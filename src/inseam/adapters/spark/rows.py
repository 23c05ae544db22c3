"""Rows that live on Spark: lazy, in an order, and streamed through the driver only when it asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs

from inseam.adapters.spark.failure import telling
from inseam.adapters.spark.session import running
from inseam.adapters.spark.staging import Staging
from inseam.adapters.spark.types import column, ddl
from inseam.kernel.errors import ConflictError

Batches = Iterator[pa.RecordBatch]


@dataclass(frozen=True)
class SparkRows:
    """``frame`` is a DataFrame whose partitions, one after another, hold the rows in their order."""

    frame: Any
    schema: pa.Schema
    subject: str
    """What an error names."""
    staging: Staging
    keep: tuple[Any, ...] = ()
    """What must not be dropped while the rows may still be asked for."""

    def reader(self) -> pa.RecordBatchReader:
        """The rows as a stream of the driver, a partition of them in its memory at a time."""
        return pa.RecordBatchReader.from_batches(self.schema, self._stream())

    def _stream(self) -> Batches:
        packed = self.frame.mapInArrow(_pack, "stream binary")
        with running(self.subject):
            for row in packed.toLocalIterator(prefetchPartitions=True):
                for batch in pa.ipc.open_stream(pa.py_buffer(row[0])):
                    yield batch if batch.schema.equals(self.schema) else batch.cast(self.schema)

    def map(self, function: Callable[[Batches], Batches], schema: pa.Schema) -> SparkRows:
        """What ``function`` makes of each partition's batches, in the workers; it runs once a partition.

        The function must be importable where the workers run, or a partial of one that is.
        """
        frame = self.frame.mapInArrow(partial(_map, function, schema), ddl(schema))
        return SparkRows(frame, schema, self.subject, self.staging, (*self.keep, self))

    def write(self, directory: str | Path) -> tuple[str, ...]:
        """Parquet parts below ``directory``, written by the workers (who see it); their paths, in the rows' order.

        `ConflictError` where there is such a directory already.
        """
        filesystem, path = _filesystem(directory)
        found = filesystem.get_file_info(path)
        if found.type != pafs.FileType.NotFound:
            raise ConflictError(str(directory), "it exists already", mend="name a directory that does not exist")
        url = str(directory) if "://" in str(directory) else f"file://{path}"
        with running(self.subject):
            self.frame.write.parquet(url)
        infos = filesystem.get_file_info(pafs.FileSelector(path))
        for info in infos:
            if info.base_name.startswith(("_", ".")):
                filesystem.delete_file(info.path)
        return tuple(sorted(info.path for info in infos if info.base_name.startswith("part-")))

    def select(self, names: list[str]) -> SparkRows:
        """Some of the columns."""
        schema = pa.schema([self.schema.field(name) for name in names])
        frame = self.frame.select(*map(column, names))
        return SparkRows(frame, schema, self.subject, self.staging, (*self.keep, self))


def _filesystem(directory: str | Path) -> tuple[pafs.FileSystem, str]:
    if "://" in str(directory):
        found: tuple[pafs.FileSystem, str] = pafs.FileSystem.from_uri(str(directory))
        return found
    return pafs.LocalFileSystem(), str(Path(directory).resolve())


def _pack(batches: Batches) -> Batches:
    """Each batch as the bytes of an Arrow stream: what Spark hands to the driver, row by row, untouched."""
    for batch in batches:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        yield pa.record_batch([pa.array([sink.getvalue().to_pybytes()], pa.binary())], names=["stream"])


def _map(function: Callable[[Batches], Batches], schema: pa.Schema, batches: Batches) -> Batches:
    for batch in telling(function(batches)):
        yield batch if batch.schema.equals(schema) else batch.cast(schema)
