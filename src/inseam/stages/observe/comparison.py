"""Reads of a view held against its snapshot and against what is known now; of each that differs, the likely cause."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from inseam.ir.aggregates import AggregateKind, AggregateSpec
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.errors import DataError, DefinitionError, NotFoundError
from inseam.kernel.types import DataType
from inseam.ports.engine import Engine
from inseam.stages.observe.reads import Reads, differing, recompute


class Cause(StrEnum):
    """What is likely to have made a read differ from its recomputation."""

    CODE = "code"
    """Its own snapshot does not give it: code, engine or stored row are others."""
    LATE = "late rows"
    """Rows that count at its boundary came into the table after its snapshot: history, or a stamp in the past."""
    REWRITTEN = "rewritten"
    """Rows that counted at its boundary are gone from the table, or are others."""
    SNAPSHOT = "snapshot gone"
    """The table gives another value now, and its own snapshot cannot be read any more."""
    UNKNOWN = "unknown"
    """The table gives another value now; its snapshot, one of very many, was not looked at."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """``differs``: bool of shape (reads, features). ``values`` by feature are the recomputed ones, of its own snapshot
    where a read differs from that alone. ``causes``: an item a read, None where nothing differs.
    """

    differs: np.ndarray
    values: dict[str, np.ndarray]
    causes: list[Cause | None]


ViewAt = Callable[[int], WindowedAggregate]
"""A view on the data that its reads name by a number."""
_ROWS = AggregateSpec("rows", AggregateKind.COUNT, DataType.INT64)
_PICKED = (AggregateKind.MIN, AggregateKind.MAX, AggregateKind.FIRST, AggregateKind.LAST, AggregateKind.QUANTILE)
_TOLERANCE = 1e-9


class Comparer:
    """Computes reads of one view again: all of them from ``newest``, the view on the newest snapshot, and from up to
    ``most`` of their own, on which ``at`` gives the view.

    A row counts at a boundary when it was known then, so that every snapshot since must give one value. The snapshots
    of reads that differ are looked at first, then those of which there are the most reads. Values are held to every
    bit; where ``is_tiled``, sums of floats to a relative 1e-9, for tiles add in another order.
    """

    def __init__(
        self, newest: WindowedAggregate, at: ViewAt, engine: Engine, *, is_tiled: bool = False, most: int = 16
    ) -> None:
        self._newest, self._at, self._engine, self._most = newest, at, engine, most
        self._added = {a.name for a in newest.aggregates if is_tiled and a.kind not in _PICKED}

    def compare(self, reads: Reads) -> Comparison:
        newest = recompute(self._engine, self._newest, reads)
        values = {name: column.copy() for name, column in newest.items()}
        now = self._differing(reads, values)
        then, causes = np.zeros_like(now), np.full(len(reads), None, object)
        causes[now.any(axis=1)] = Cause.UNKNOWN
        for version in self._chosen(reads, now):
            rows = reads.versions == version
            part = reads.where(rows)
            try:
                found = recompute(self._engine, self._at(version), part)
            except (NotFoundError, DataError, DefinitionError):  # the newest has just been read in the same way
                causes[rows & now.any(axis=1)] = Cause.SNAPSHOT
                continue
            then[rows] = self._differing(part, found)
            causes[rows] = self._causes(part, now[rows].any(axis=1), then[rows].any(axis=1), version)
            for place, (name, column) in enumerate(values.items()):
                column[rows] = np.where(now[rows, place], column[rows], found[name])
        return Comparison(now | then, values, causes.tolist())

    def _causes(self, reads: Reads, now: np.ndarray, then: np.ndarray, version: int) -> np.ndarray:
        causes = np.full(len(reads), None, object)
        causes[then] = Cause.CODE
        changed = now & ~then
        if changed.any():
            part = reads.where(changed)
            grown = self._rows(part, self._newest) > self._rows(part, self._at(version))
            causes[changed] = [Cause.LATE if more else Cause.REWRITTEN for more in grown.tolist()]
        return causes

    def _rows(self, reads: Reads, view: WindowedAggregate) -> np.ndarray:
        """How many rows count at each read's boundary."""
        return recompute(self._engine, replace(view, aggregates=(_ROWS,)), reads)["rows"]

    def _chosen(self, reads: Reads, now: np.ndarray) -> list[int]:
        versions, places, counts = np.unique(reads.versions, return_inverse=True, return_counts=True)
        wrong = np.bincount(places, weights=now.any(axis=1), minlength=len(versions))
        order = np.lexsort((-counts, -wrong))[: self._most]
        return [int(version) for version in versions[order] if version >= 0]

    def _differing(self, reads: Reads, values: dict[str, np.ndarray]) -> np.ndarray:
        columns = []
        for field in self._newest.schema:
            left, right = reads.values[field.name], values[field.name]
            differs = differing(left, right, field.type)
            if field.name in self._added and field.type is DataType.FLOAT64:
                differs &= ~np.isclose(left, right, rtol=_TOLERANCE, atol=0.0)
            columns.append(differs)
        return np.stack(columns, axis=1)
