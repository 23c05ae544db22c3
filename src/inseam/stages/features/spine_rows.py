"""The spine of a training set, read once and kept on disk until its features are computed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np
import pyarrow as pa

from inseam.ir.windows import EVENT_TIME
from inseam.kernel.types import Schema
from inseam.ports.progress import Progress
from inseam.stages.features.split import Split


class SpineRows:
    """The rows whose label is ripe. The file has no name, so that nothing is left of it whatever is killed.

    ``unripe`` and ``purged`` count rows that were left out; ``purged`` is known when `kept` has been read.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        # Closed by `__exit__`.
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115
        self.schema = pa.schema([])
        self.rows = self.unripe = self.purged = 0
        self.first = self.last = 0

    def __enter__(self) -> SpineRows:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def fill(self, spine: pa.RecordBatchReader, ripe_until: int | None, progress: Progress) -> None:
        """Keep the rows at or before ``ripe_until`` (None: all)."""
        self.schema = Schema.from_arrow(spine.schema).to_arrow()
        with pa.ipc.new_stream(self._file, self.schema) as writer:
            for batch in spine:
                ripe = batch.cast(self.schema)
                if ripe_until is not None:
                    mask = instants(ripe) <= ripe_until
                    self.unripe += ripe.num_rows - int(mask.sum())
                    ripe = ripe.filter(pa.array(mask))
                if ripe.num_rows:
                    self._extend(instants(ripe))
                    writer.write_batch(ripe)
                progress("spine", self.rows)

    def kept(self, split: Split) -> pa.RecordBatchReader:
        """The rows that are not purged, in the spine's order."""
        self._file.seek(0)
        self.purged = 0

        def batches() -> Iterator[pa.RecordBatch]:
            with pa.ipc.open_stream(self._file) as reader:
                for batch in reader:
                    mask = split.is_purged(instants(batch))
                    self.purged += int(mask.sum())
                    yield batch.filter(pa.array(~mask))

        return pa.RecordBatchReader.from_batches(self.schema, batches())

    def _extend(self, times: np.ndarray) -> None:
        low, high = int(times.min()), int(times.max())
        self.first = low if self.rows == 0 else min(self.first, low)
        self.last = high if self.rows == 0 else max(self.last, high)
        self.rows += len(times)


def instants(batch: pa.RecordBatch) -> np.ndarray:
    """int64 UTC microseconds (rows,) of ``event_time``."""
    times = batch.column(EVENT_TIME).cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    found: np.ndarray = times.to_numpy(zero_copy_only=False)
    return found
