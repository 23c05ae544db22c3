"""The label's column, what is counted of it, and the instant up to which labels are known."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from inseam.ir.records import SourceSchemaRecord
from inseam.ir.training import LabelSpec
from inseam.kernel.clock import from_datetime
from inseam.kernel.errors import DataError
from inseam.kernel.types import DataType, arrow_type
from inseam.ports.engine import Engine
from inseam.ports.ledger import Ledger
from inseam.ports.rows import Batches

_COMPARE = {
    "==": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
MOST_CLASSES = 100
"""Labels with more values than this are described by their mean alone."""


def label_column(spec: LabelSpec, batch: pa.RecordBatch) -> pa.Array:
    """The label of each row in the spec's type; NULL where the aggregate is NULL or NaN."""
    name = spec.column if spec.window is None else spec.window.aggregates[0].name
    value = batch.column(name)
    if pa.types.is_floating(value.type):
        value = pc.if_else(pc.is_nan(value), pa.scalar(None, value.type), value)
    if spec.compare is not None:
        value = _COMPARE[spec.compare](value, pa.scalar(spec.threshold))
    return value.cast(arrow_type(spec.type))


def declared_watermark(spec: LabelSpec, ledger: Ledger) -> int | None:
    """The instant up to which the label's source is declared complete, when it is."""
    if spec.window is None:
        return None
    record = ledger.get(SourceSchemaRecord, spec.window.relation.table.rpartition("/")[2])
    return None if record is None else record.watermark


def ripe_until(spec: LabelSpec, declared: int | None, engine: Engine) -> int | None:
    """The newest instant whose label's window has wholly been seen; None when labels don't wait.

    Without a declared watermark the newest event stands for it: what came before it is taken to be there.
    """
    if spec.window is None:
        return None
    watermark = declared
    if watermark is None:
        relation = spec.window.relation
        found = engine.scan(relation, columns=[relation.timestamp]).consume(_newest)
        watermark = max((newest for newest in found if newest is not None), default=None)
        if watermark is None:
            raise DataError(relation.table, "there is no row to make labels from", mend="ingest the label's source")
    return watermark - spec.ahead


def _newest(part: int, batches: Batches) -> int | None:
    """The greatest instant of the only column."""
    greatest = (pc.max(batch.column(0).cast(arrow_type(DataType.TIMESTAMP))) for batch in batches)
    return max((from_datetime(found.as_py()) for found in greatest if found.is_valid), default=None)


class Tally:
    """What the labels are: a rate for yes and no, counts for classes, a mean for numbers."""

    def __init__(self, type_: DataType) -> None:
        self._type = type_
        self._rows = 0
        self._sum = 0.0
        self._values: Counter[Any] | None = Counter()

    def update(self, labels: pa.Array) -> None:
        """Take in labels without NULL."""
        self._rows += len(labels)
        if self._type.is_numeric:
            self._sum += pc.sum(labels.cast(pa.float64())).as_py() or 0.0
        if self._values is None or self._type not in (DataType.STRING, DataType.INT64):
            return
        for entry in pc.value_counts(labels):
            self._values[entry["values"].as_py()] += entry["counts"].as_py()
        if len(self._values) > MOST_CLASSES:
            self._values = None

    def summary(self) -> dict[str, Any]:
        mean = self._sum / self._rows if self._rows else None
        if self._type is DataType.BOOL:
            return {"positive_rate": mean}
        found: dict[str, Any] = {"label_mean": mean} if self._type.is_numeric else {}
        if self._values:
            found["classes"] = {str(value): count for value, count in sorted(self._values.items())}
        return found
