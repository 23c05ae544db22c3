"""Rows that live on Spark: lazy, in an order; functions of them run in the workers."""

from __future__ import annotations

import pickle
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, TypeVar

import pyarrow as pa
from py4j.protocol import Py4JError
from pyspark import StorageLevel, TaskContext
from pyspark.errors import PySparkException

from inseam.adapters.spark.carried import Carried
from inseam.adapters.spark.failure import telling, told
from inseam.adapters.spark.session import running
from inseam.adapters.spark.staging import Staged, Staging
from inseam.adapters.spark.types import ddl
from inseam.ports.rows import Batches, Parts

T = TypeVar("T")
_ANSWER = "part int, answer binary"


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
    is_spread: ClassVar[bool] = True

    def reader(self, parts: Parts | None = None) -> pa.RecordBatchReader:
        """The rows as a stream of the driver. The workers write them all first: none passes through Spark's driver."""
        return pa.RecordBatchReader.from_batches(self.schema, self._stream(parts))

    def _stream(self, parts: Parts | None) -> Batches:
        staged = self.deposit(parts)
        yield from self.staging.read(staged)

    def deposit(self, parts: Parts | None = None) -> Staged:
        """The rows in the staging folder, where the workers write them."""
        return self.staging.deposit(self.frame, self.schema, self.subject, parts)

    def map(self, function: Callable[[Batches], Batches], schema: pa.Schema) -> SparkRows:
        frame = self.frame.mapInArrow(partial(_map, Carried(function), self.schema, schema), ddl(schema))
        return SparkRows(frame, schema, self.subject, self.staging, (*self.keep, self))

    def consume(
        self,
        function: Callable[[int, Batches], T],
        seen: Callable[[int], None] | None = None,
        parts: Parts | None = None,
    ) -> list[T]:
        answers = self.frame.mapInArrow(partial(_consume, Carried(function), self.schema), _ANSWER)
        with running(self.subject, parts):
            found = answers.toArrow().sort_by("part")
        return [pickle.loads(answer) for answer in found["answer"].to_pylist()]  # noqa: S301 - our own workers wrote it

    def hold(self) -> SparkRows:
        frame = self.frame.persist(StorageLevel.DISK_ONLY)
        held = SparkRows(frame, self.schema, self.subject, self.staging, (*self.keep, self))
        # At the end of the process Spark itself is gone.
        weakref.finalize(held, _let_go, frame).atexit = False
        return held


def _let_go(frame: Any) -> None:
    try:
        frame.unpersist()
    except (PySparkException, Py4JError, OSError):
        return  # the session was closed, and what it held with it


def _map(function: Callable[[Batches], Batches], before: pa.Schema, after: pa.Schema, batches: Batches) -> Batches:
    return _as(after, telling(function(_as(before, batches))))


def _consume(function: Callable[[int, Batches], Any], schema: pa.Schema, batches: Batches) -> Batches:
    context = TaskContext.get()
    part = 0 if context is None else context.partitionId()
    with told():
        answer = pickle.dumps(function(part, _as(schema, batches)))
    yield pa.record_batch([pa.array([part], pa.int32()), pa.array([answer], pa.binary())], names=["part", "answer"])


def _as(schema: pa.Schema, batches: Batches) -> Batches:
    for batch in batches:
        yield batch if batch.schema.equals(schema) else batch.cast(schema)
