"""Spark's workers: a task a piece of work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pyarrow as pa

from inseam.adapters.spark.rows import SparkRows
from inseam.adapters.spark.session import running
from inseam.adapters.spark.shared import DuckdbEngine
from inseam.adapters.spark.staging import Staging
from inseam.ports.rows import Batches
from inseam.ports.tables import Tables

P = TypeVar("P")
T = TypeVar("T")
_NUMBERS = pa.schema([("id", pa.int64())])


@dataclass(frozen=True)
class SparkWorkers:
    """`inseam.ports.workers.Workers` of a session, which opens with the first piece."""

    session: Callable[[], Any]
    staging: Staging
    engine: Callable[[Path], DuckdbEngine]
    is_spread: ClassVar[bool] = True

    @property
    def folder(self) -> Path | None:
        return self.staging.directory

    def each(self, function: Callable[[P], T], pieces: Sequence[P]) -> list[T]:
        if not pieces:
            return []
        return list(chain.from_iterable(self._numbers(len(pieces)).consume(partial(_each, function, tuple(pieces)))))

    def rows(self, function: Callable[[P], Batches], pieces: Sequence[P], schema: pa.Schema) -> SparkRows:
        return self._numbers(len(pieces)).map(partial(_rows, function, tuple(pieces)), schema)

    def _numbers(self, count: int) -> SparkRows:
        """The pieces' numbers, a partition each. The pieces themselves travel with the function."""
        with running("workers"):
            return SparkRows(self.session().range(0, count, 1, max(count, 1)), _NUMBERS, "workers", self.staging)


def local_engine(tables: Tables, memory: int, directory: Path) -> DuckdbEngine:
    """The engine of one task: what it may take of its machine."""
    return DuckdbEngine(tables, directory=directory, memory_limit=f"{memory >> 20}MiB", threads=1)


def _each(function: Callable[[P], T], pieces: tuple[P, ...], _: int, batches: Batches) -> list[T]:
    return [function(pieces[number]) for number in _given(batches)]


def _rows(function: Callable[[P], Batches], pieces: tuple[P, ...], batches: Batches) -> Batches:
    for number in _given(batches):
        yield from function(pieces[number])


def _given(batches: Batches) -> list[int]:
    return [number for batch in batches for number in batch.column("id").to_pylist()]
