"""The receipt of a served prediction, and its replay: the same values from the same data, code and model."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from inseam.ir.on_demand import call
from inseam.ir.records import ErasureRecord, ModelVersionRecord, TrainingSetRecord
from inseam.ir.training import EndpointSpec
from inseam.ir.windows import EVENT_TIME, WindowedAggregate
from inseam.kernel.clock import format_instant
from inseam.kernel.errors import NotFoundError
from inseam.kernel.types import DataType, Field, Schema
from inseam.plan.schemas import Schemas
from inseam.ports.bundle import Bundle, open_kept, read_manifest
from inseam.ports.pin import view_at
from inseam.run.context import Context
from inseam.run.learning import version_of
from inseam.run.view_versions import declared, recorded

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from inseam.ports.engine import Engine
    from inseam.stages.serve.record import PredictionRecord

LOG = "predictions"
"""The directory of the prediction log under the environment's home."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Everything that a prediction was made from."""

    prediction: PredictionRecord
    model: ModelVersionRecord
    training_set: TrainingSetRecord | None
    definitions: Mapping[str, str]
    """view -> the fingerprint under which the model knows it."""
    types: Mapping[str, DataType]
    """Of the keys and of every value: the log holds numbers and bools as floats, instants as microseconds."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that came out otherwise. ``why`` is what is known of the cause."""

    what: str
    logged: Any
    recomputed: Any
    why: str = ""


@dataclass(frozen=True, slots=True)
class Replay:
    """``compared``: how many values were held against the log, bit for bit."""

    receipt: Receipt
    compared: int
    differences: tuple[Difference, ...]

    @property
    def is_equal(self) -> bool:
        return not self.differences

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"is_equal": self.is_equal}


def receipt(context: Context, prediction: str) -> Receipt:
    """`NotFoundError` for an id that was never answered."""
    from inseam.stages.serve.find import find_prediction

    found = find_prediction(context.path(LOG), context.tables, prediction)
    if found is None:
        erased = context.ledger.select(ErasureRecord)
        told = f"; entities were forgotten, the last at {format_instant(erased[-1].begun_at)}" if erased else ""
        raise NotFoundError(f"prediction {prediction}", f"no prediction with this id was logged here{told}")
    model = version_of(context, found.model, found.model_version)
    trained_on = context.ledger.get(TrainingSetRecord, model.training_set)
    # Not opened: what a receipt says needs neither the model's library nor the project's functions.
    manifest = read_manifest(context.models.here(model.path))
    fields = (*manifest.keys, *manifest.inputs, *(field for use in manifest.views for field in use.features))
    types = {field.name: field.type for field in fields} | {spec.name: spec.type for spec in manifest.on_demand}
    return Receipt(found, model, trained_on, {use.view: use.fingerprint for use in manifest.views}, types)


def replay(context: Context, prediction: str) -> Replay:
    """Recompute a prediction's features at their boundaries and snapshots, then its output, and compare every bit."""
    made = receipt(context, prediction)
    schemas = context.checked()
    endpoint = context.endpoint(made.prediction.endpoint, schemas)
    views = [_as_trained(context, made, view, schemas) for view in endpoint.views]
    endpoint = replace(endpoint, views=tuple(view for view, _ in views))
    bundle = open_kept(context.models, made.model.path, made.prediction.model_digest)
    differences: list[Difference] = []
    compared = 0
    for view, changed in views:
        for name, logged, recomputed in _view_values(context, made, endpoint, view):
            compared += 1
            if not same_bits(logged, recomputed):
                why = changed or _erased_since(context, made.prediction.at)
                differences.append(Difference(f"{view.name}.{name}", logged, recomputed, why))
    for name, logged, recomputed in _outputs(made.prediction, endpoint, bundle):
        compared += 1
        if not same_bits(logged, recomputed):
            differences.append(Difference(name, logged, recomputed, "computed from the logged features"))
    return Replay(made, compared, tuple(differences))


def same_bits(left: Any, right: Any) -> bool:
    """Equal to the last bit: NULL only with NULL, -0.0 is not 0.0, and a NaN equals a NaN."""
    if isinstance(left, float) and isinstance(right, float):
        return struct.pack("<d", left) == struct.pack("<d", right) or (left != left and right != right)
    return type(left) is type(right) and bool(left == right)


def _as_trained(
    context: Context, made: Receipt, view: WindowedAggregate, schemas: Schemas
) -> tuple[WindowedAggregate, str]:
    """A view as it was when the model was trained. Where that is not known, or its code has changed: as it is declared,
    and what is to be said of values that differ.
    """
    fingerprint = made.definitions.get(view.name, "")
    if declared(context, view.name, schemas).fingerprint == fingerprint:
        return view, ""
    version = recorded(context, view.name, fingerprint)
    if version is None or not version.can_compute:
        return view, "the view's definition has changed since"
    return version.spec.only(tuple(made.prediction.features)), ""


def _view_values(
    context: Context, made: Receipt, endpoint: EndpointSpec, view: WindowedAggregate
) -> Iterator[tuple[str, Any, Any]]:
    """(feature, logged, recomputed) for a view that was read online."""
    read = made.prediction.views.get(view.name)
    if read is None or read.is_missing or read.boundary is None or read.version is None:
        return
    pinned = view_at(view, made.definitions.get(view.name, ""), read.version, context.ledger)
    values = recompute(context.engine, pinned, endpoint.keys, made.prediction.keys, read.boundary)
    for name, recomputed in values.items():
        yield name, made.prediction.features[name], recomputed


def _erased_since(context: Context, instant: int) -> str:
    """What is to be said of values over rows of several entities when one of those was forgotten."""
    since = [r for r in context.ledger.select(ErasureRecord) if (r.finished_at or r.begun_at) > instant]
    return (
        f"rows of entities that were forgotten since are erased, the last at {format_instant(since[-1].begun_at)}"
        if since
        else ""
    )


def recompute(
    engine: Engine,
    view: WindowedAggregate,
    fields: tuple[Field, ...],
    keys: Mapping[str, Any],
    boundary: int,
) -> dict[str, Any]:
    """One entity's values at a boundary of a view that names its snapshot, in the log's form."""
    import pyarrow as pa

    # The first instant at which the boundary is readable: b(boundary + lag) is the boundary itself.
    row = {**keys, EVENT_TIME: boundary + view.lag}
    schema = Schema((*fields, Field(EVENT_TIME, DataType.TIMESTAMP))).to_arrow()
    # Arrow reads a plain integer as an instant in the column's own unit: microseconds, or days for dates.
    arrays = [pa.array([row[field.name]], field.type) for field in schema]
    spine = pa.Table.from_arrays(arrays, schema=schema).to_reader()
    table = engine.features(spine, [view]).reader().read_all()
    return {field.name: plain(table[field.name], field.type) for field in view.schema}


def plain(column: pa.ChunkedArray, type_: DataType) -> Any:
    """The only cell in the log's form: numbers and bools as floats, instants as microseconds, dates as days."""
    import pyarrow as pa

    if type_ is DataType.TIMESTAMP:
        return column.cast(pa.int64())[0].as_py()
    if type_ is DataType.DATE:
        return column.cast(pa.int32())[0].as_py()
    value = column[0].as_py()
    return float(value) if value is not None and type_.is_numeric else value


def _outputs(prediction: PredictionRecord, endpoint: EndpointSpec, bundle: Bundle) -> Iterator[tuple[str, Any, Any]]:
    """On-demand features and the model's output, recomputed from what was logged."""
    columns = _columns(prediction, endpoint)

    for spec in bundle.manifest.on_demand:
        columns[spec.name] = call(spec, bundle.functions[spec.name], columns)
        yield f"on_demand.{spec.name}", prediction.derived[spec.name], _scalar(columns[spec.name][0])
    output = bundle.predict(columns)[0]
    values = [float(v) for v in output] if getattr(output, "shape", ()) else [float(output)]
    for place, (logged, recomputed) in enumerate(zip(prediction.output, values, strict=True)):
        yield f"output[{place}]" if len(values) > 1 else "output", logged, recomputed


def _columns(prediction: PredictionRecord, endpoint: EndpointSpec) -> dict[str, np.ndarray]:
    import numpy as np

    fields = {f.name: f for view in endpoint.views for f in view.schema} | {f.name: f for f in endpoint.inputs}
    values = prediction.features | prediction.inputs
    columns = {name: one_cell(values[name], field.type) for name, field in fields.items() if name in values}
    columns[EVENT_TIME] = np.array([prediction.at], "datetime64[us]")
    return columns


def one_cell(value: Any, type_: DataType) -> np.ndarray:
    """A column of one row in the form of `encoding.to_numpy`, from the log's form."""
    import numpy as np

    if type_ is DataType.STRING:
        return np.array([value], dtype=object)
    if type_ is DataType.TIMESTAMP:
        return np.array(["NaT" if value is None else value], "datetime64[us]")
    if type_ is DataType.DATE:
        return np.array(["NaT" if value is None else value], "datetime64[D]")
    return np.array([np.nan if value is None else value], np.float64)


def _scalar(value: Any) -> Any:
    """A cell of a computed column in the log's form: NaN and NaT are NULL."""
    import numpy as np

    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else int(value.astype(np.int64))
    if isinstance(value, float | np.floating):
        return None if np.isnan(value) else float(value)
    return value
