"""Rows that don't fit: dealt into files by key, and brought back into their order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from inseam.adapters.duckdb.keys import Array
from inseam.adapters.duckdb.rows import ROW

PART = "_part"
"""The column that says into which file a row goes."""


class Parts:
    """Arrow streams on disk, each in the order in which its rows came; ``rows`` of each."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self.schema = schema
        self.rows: list[int] = []

    def _path(self, part: int) -> Path:
        return self._folder / f"{part}.arrow"

    def deal(self, batches: Iterator[pa.RecordBatch], count: int) -> None:
        """Write each row to that of ``count`` files which its `PART` names."""
        self.rows = [0] * count
        writers = [pa.ipc.new_stream(str(self._path(part)), self.schema) for part in range(count)]
        for batch in batches:
            part = batch.column(PART).to_numpy()
            order = np.argsort(part, kind="stable")
            rows = batch.select(self.schema.names).take(pa.array(order))
            cuts = np.searchsorted(part[order], np.arange(count + 1))
            for number, writer in enumerate(writers):
                start, stop = int(cuts[number]), int(cuts[number + 1])
                if start < stop:
                    writer.write_batch(rows.slice(start, stop - start))
                    self.rows[number] += stop - start
        for writer in writers:
            writer.close()

    def add(self, table: pa.Table, batch_rows: int) -> None:
        """One file more."""
        with pa.ipc.new_stream(str(self._path(len(self.rows))), self.schema) as writer:
            writer.write_table(table, max_chunksize=batch_rows)
        self.rows.append(table.num_rows)

    def reader(self, part: int) -> pa.RecordBatchReader:
        return read_stream(self._path(part))

    def forget(self, part: int) -> None:
        """Give the disk back."""
        self._path(part).unlink()


def read_stream(path: Path) -> pa.RecordBatchReader:
    """An Arrow stream from a file, a batch in memory at a time (a mapped file would count as memory)."""
    reader = pa.ipc.open_stream(pa.OSFile(str(path), "rb"))
    return pa.RecordBatchReader.from_batches(reader.schema, reader)


class Merge:
    """Brings rows that were dealt into parts, each ascending by `ROW`, back into one order, a run at a time."""

    def __init__(self, parts: Parts) -> None:
        self._readers = [parts.reader(part) for part in range(len(parts.rows))]
        self._held: list[pa.Table] = [parts.schema.empty_table() for _ in parts.rows]

    def take_until(self, row: int) -> pa.Table:
        """The rows numbered below ``row`` that were not taken yet, without their numbers."""
        pieces = [self._take(part, row) for part in range(len(self._readers))]
        table = pa.concat_tables(pieces)
        order = np.argsort(_rows(table))
        return table.drop_columns([ROW]).take(pa.array(order))

    def _take(self, part: int, row: int) -> pa.Table:
        held = self._held[part]
        while held.num_rows == 0 or _rows(held)[-1] < row:
            batch = next(self._readers[part], None)
            if batch is None:
                break
            held = pa.concat_tables([held, pa.Table.from_batches([batch])])
        count = int(np.searchsorted(_rows(held), row))
        self._held[part] = held.slice(count)
        return held.slice(0, count)


def _rows(table: pa.Table) -> Array:
    return np.asarray(table.column(ROW).to_numpy())
