"""Writes a Parquet file that is there whole or not at all, whatever is killed when."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from inseam.kernel.errors import ConflictError, SettingError

if TYPE_CHECKING:
    import pyarrow as pa

ROW_GROUP = 122_880
"""Rows a row group, however small the batches are that come in."""


class ParquetRows:
    """An open file: takes batches, writes row groups of equal size."""

    def __init__(self, file: IO[bytes], schema: pa.Schema) -> None:
        import pyarrow.parquet as pq

        self._writer = pq.ParquetWriter(file, schema, compression="zstd", write_page_checksum=True)
        self._schema = schema
        self._waiting: list[pa.RecordBatch] = []
        self._count = 0
        self.rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        self._waiting.append(batch)
        self._count += batch.num_rows
        self.rows += batch.num_rows
        if self._count >= ROW_GROUP:
            self._flush(self._count - self._count % ROW_GROUP)

    def finish(self) -> None:
        """Write what is waiting, and the footer."""
        self._flush(self._count)
        self._writer.close()

    def abandon(self) -> None:
        """Let go of the file, which is then no Parquet file."""
        self._waiting = []
        self._writer.close()

    def _flush(self, rows: int) -> None:
        import pyarrow as pa

        table = pa.Table.from_batches(self._waiting, self._schema)
        if rows:
            self._writer.write_table(table.slice(0, rows), row_group_size=ROW_GROUP)
        self._waiting = table.slice(rows).to_batches()
        self._count -= rows


@contextmanager
def parquet_file(path: Path, schema: pa.Schema) -> Iterator[ParquetRows]:
    """Write ``path`` in the block: it appears (or is replaced) when the block ends well, and is then on disk.

    `SettingError` for a directory, `ConflictError` while another process writes it. What a killed writer left behind is
    overwritten by the next.
    """
    if path.is_dir():
        raise SettingError(str(path), "it is a directory", expected="a file to write")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with _locked(partial, path) as file:
        rows = ParquetRows(file, schema)
        try:
            yield rows
            rows.finish()
            file.flush()
            os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            rows.abandon()
            partial.unlink(missing_ok=True)
            raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


@contextmanager
def _locked(partial: Path, path: Path) -> Iterator[IO[bytes]]:
    """The partial file, empty, locked against other writers for as long as it is open."""
    while True:
        with partial.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConflictError(str(path), "another process is writing this file", mend="wait for it") from None
            # Whoever held the lock before may have moved the file to its place: then this is not the partial one.
            if partial.exists() and os.path.samestat(os.fstat(file.fileno()), partial.stat()):
                file.truncate(0)
                yield file
                return
