"""Which rows of a spine a training set is built of: those whose label is ripe, and those that are not purged."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from inseam.ir.windows import EVENT_TIME
from inseam.ports.rows import Batches, Rows
from inseam.stages.features.split import Split


@dataclass(frozen=True, slots=True)
class Ripe:
    """What is known of the spine's rows: how many have a ripe label, of which instants, and how many have not."""

    rows: int = 0
    unripe: int = 0
    first: int = 0
    last: int = 0

    def __or__(self, other: Ripe) -> Ripe:
        if not self.rows or not other.rows:
            some = self if self.rows else other
            return Ripe(some.rows, self.unripe + other.unripe, some.first, some.last)
        ends = min(self.first, other.first), max(self.last, other.last)
        return Ripe(self.rows + other.rows, self.unripe + other.unripe, *ends)


def ripe_rows(until: int | None, part: int, batches: Batches) -> Ripe:
    """Of one part: which of its rows lie at or before ``until`` (None: all)."""
    found = Ripe()
    for batch in batches:
        times = instants(batch)
        ripe = times[_is_ripe(until, times)]
        if ripe.size:
            found |= Ripe(ripe.size, 0, int(ripe.min()), int(ripe.max()))
        found |= Ripe(unripe=times.size - ripe.size)
    return found


def kept(spine: Rows, until: int | None, split: Split) -> Rows:
    """The rows that are ripe and not purged, in the spine's order."""
    return spine.map(partial(_kept, until, split), spine.schema)


def purged(spine: Rows, until: int | None, split: Split) -> int:
    """How many ripe rows `kept` leaves out."""
    return sum(spine.consume(partial(_purged, until, split)))


def instants(batch: pa.RecordBatch) -> np.ndarray:
    """int64 UTC microseconds (rows,) of ``event_time``."""
    times = batch.column(EVENT_TIME).cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    found: np.ndarray = times.to_numpy(zero_copy_only=False)
    return found


def _is_ripe(until: int | None, times: np.ndarray) -> np.ndarray:
    return np.ones(times.size, bool) if until is None else times <= until


def _kept(until: int | None, split: Split, batches: Batches) -> Batches:
    for batch in batches:
        times = instants(batch)
        yield batch.filter(pa.array(_is_ripe(until, times) & ~split.is_purged(times)))


def _purged(until: int | None, split: Split, part: int, batches: Batches) -> int:
    times = map(instants, batches)
    return sum(int((_is_ripe(until, some) & split.is_purged(some)).sum()) for some in times)
