"""The log's columns in the tables ``predictions/<endpoint>`` and ``outcomes/<endpoint>``, and back to a record.

A prediction's columns are prefixed by what they are: ``key: input: feature: derived: boundary: version: missing: stale:
output:``. Numeric and bool features are float64, as the model saw them, whatever a later definition makes of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from inseam.kernel.types import DataType, Schema, arrow_type
from inseam.stages.serve.ids import format_id
from inseam.stages.serve.record import NO_INSTANT, Batch, Context, Outcome, Packed, PredictionRecord, ViewRead

if TYPE_CHECKING:
    import pyarrow as pa

_FIXED = (
    ("id", DataType.STRING),
    ("at", DataType.TIMESTAMP),
    ("model", DataType.STRING),
    ("model_version", DataType.INT64),
    ("model_digest", DataType.STRING),
    ("latency_us", DataType.INT64),
)
OUTCOME_SCHEMA = Schema.of(
    [
        ("id", DataType.STRING),
        ("recorded_at", DataType.TIMESTAMP),
        ("observed_at", DataType.TIMESTAMP),
        ("number", DataType.FLOAT64),
        ("text", DataType.STRING),
    ]
)
_INSTANTS = (DataType.TIMESTAMP, DataType.DATE)
_BOUNDARY, _VERSION, _MISSING, _STALE = "boundary", "version", "missing", "stale"


def prediction_columns(context: Context, width: int) -> list[tuple[str, DataType]]:
    """Names and types of the columns that this context's predictions have."""
    seen = [(f"feature:{name}", _as_seen(type_)) for name, type_ in context.features]
    seen += [(f"derived:{name}", _as_seen(type_)) for name, type_ in context.derived]
    views: list[tuple[str, DataType]] = []
    for view in context.views:
        views += [
            (f"{_BOUNDARY}:{view}", DataType.TIMESTAMP),
            (f"{_VERSION}:{view}", DataType.INT64),
            (f"{_MISSING}:{view}", DataType.BOOL),
            (f"{_STALE}:{view}", DataType.BOOL),
        ]
    return [
        *_FIXED,
        *((f"key:{name}", type_) for name, type_ in context.keys),
        *((f"input:{name}", type_) for name, type_ in context.inputs),
        *seen,
        *views,
        *((f"output:{place}", DataType.FLOAT64) for place in range(width)),
    ]


def _as_seen(type_: DataType) -> DataType:
    return DataType.FLOAT64 if type_.is_numeric else type_


def predictions_arrow(context: Context, batches: Sequence[Batch]) -> pa.Table:
    """The predictions of some batches of one context, in order."""
    import numpy as np
    import pyarrow as pa

    width = batches[0].width
    counts = [len(batch.latency) for batch in batches]
    arrays: list[Any] = [
        pa.array([text for batch in batches for text in _texts(batch.ids)], pa.string()),
        pa.array(np.repeat([batch.at for batch in batches], counts), arrow_type(DataType.TIMESTAMP)),
        *(
            pa.repeat(pa.scalar(value, arrow_type(type_)), sum(counts))
            for value, (_, type_) in zip((context.model, context.version, context.digest), _FIXED[2:5], strict=True)
        ),
        pa.array([us for batch in batches for us in batch.latency], pa.int64()),
    ]
    for part, names in (("keys", context.keys), ("inputs", context.inputs)):
        for place, (_, type_) in enumerate(names):
            values = [value for batch in batches for value in getattr(batch, part)[place]]
            arrays.append(pa.array(values, arrow_type(type_)))
    for part, names in (("features", context.features), ("derived", context.derived)):
        for place, (_, type_) in enumerate(names):
            arrays.append(_unpack([getattr(batch, part)[place] for batch in batches], type_))
    for place in range(len(context.views)):
        arrays += _views_arrow(batches, counts, place)
    output = np.frombuffer(b"".join(batch.output for batch in batches), np.float64).reshape(-1, width)
    arrays += [pa.array(output[:, place]) for place in range(width)]
    return pa.table(arrays, Schema.of(prediction_columns(context, width)).to_arrow())


def _texts(ids: bytes) -> Iterable[str]:
    return (format_id(int.from_bytes(ids[start : start + 16], "big")) for start in range(0, len(ids), 16))


def _unpack(parts: Sequence[Packed], type_: DataType) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    if type_ is DataType.STRING:
        return pa.array([value for part in parts for value in part], pa.string())
    joined = b"".join(part for part in parts if isinstance(part, bytes))
    if type_ in _INSTANTS:
        ticks = np.frombuffer(joined, np.int64)
        empty = ticks == NO_INSTANT
        kept = np.where(empty, 0, ticks)
        narrow = kept if type_ is DataType.TIMESTAMP else kept.astype(np.int32)
        return pa.array(narrow, arrow_type(type_), mask=empty)
    return pa.array(np.frombuffer(joined, np.float64), from_pandas=True)


def _views_arrow(batches: Sequence[Batch], counts: Sequence[int], place: int) -> list[pa.Array]:
    import numpy as np
    import pyarrow as pa

    def joined(part: str, type_: Any, absent: int) -> Any:
        columns = [
            np.frombuffer(getattr(batch, part)[place], type_) if batch.boundaries else np.full(count, absent, type_)
            for batch, count in zip(batches, counts, strict=True)
        ]
        return np.concatenate(columns)

    given = np.repeat([not batch.boundaries for batch in batches], counts)
    boundary = joined("boundaries", np.int64, NO_INSTANT)
    version = joined("versions", np.int64, -1)
    return [
        pa.array(np.where(boundary == NO_INSTANT, 0, boundary), pa.timestamp("us", "UTC"), mask=boundary == NO_INSTANT),
        pa.array(version, mask=version < 0),
        pa.array(joined("missing", np.bool_, 0), mask=given),
        pa.array(joined("stale", np.bool_, 0), mask=given),
    ]


def outcomes_arrow(outcomes: Sequence[Outcome]) -> pa.Table:
    import pyarrow as pa

    columns = [
        [format_id(int.from_bytes(outcome.id, "big")) for outcome in outcomes],
        [outcome.recorded_at for outcome in outcomes],
        [outcome.observed_at for outcome in outcomes],
        [outcome.number for outcome in outcomes],
        [outcome.text for outcome in outcomes],
    ]
    schema = OUTCOME_SCHEMA.to_arrow()
    arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.table(arrays, schema)


def to_record(endpoint: str, row: Mapping[str, Any]) -> PredictionRecord:
    """One row of `predictions_arrow` (instants as microseconds, dates as days) as a record."""
    parts: dict[str, dict[str, Any]] = {}
    for column, value in row.items():
        part, separator, name = column.partition(":")
        name = name.partition(":")[0]
        if separator and parts.setdefault(part, {}).get(name) is None:
            parts[part][name] = value
    missing = parts.get(_MISSING, {})
    views = {
        view: ViewRead(parts[_BOUNDARY][view], parts[_VERSION][view], is_missing, bool(parts[_STALE][view]))
        for view, is_missing in missing.items()
        if is_missing is not None
    }
    output = sorted((int(place), value) for place, value in parts["output"].items() if value is not None)
    return PredictionRecord(
        id=row["id"],
        endpoint=endpoint,
        model=row["model"],
        model_version=row["model_version"],
        model_digest=row["model_digest"],
        at=row["at"],
        latency_us=row["latency_us"],
        keys=parts.get("key", {}),
        inputs=parts.get("input", {}),
        features=parts.get("feature", {}),
        derived=parts.get("derived", {}),
        views=views,
        output=tuple(value for _, value in output),
    )
