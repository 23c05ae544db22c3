"""A model's outputs as columns, under the names that serving gives them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from inseam.ir.training import Task
from inseam.ir.windows import EVENT_TIME
from inseam.kernel.errors import DataError, DefinitionError
from inseam.kernel.types import DataType, Field, Schema, arrow_type
from inseam.ports.bundle import Bundle, BundleManifest

CLASS, PROBABILITY, PREDICTION = "class", "probability", "prediction"
MODEL, VERSION = "model", "version"


def read_columns(manifest: BundleManifest) -> dict[str, DataType]:
    """The columns that a bundle reads, besides the keys."""
    fields = [*(field for use in manifest.views for field in use.features), *manifest.inputs]
    return {field.name: field.type for field in fields} | {EVENT_TIME: DataType.TIMESTAMP}


def check_columns(bundle: Bundle, stream: Schema) -> None:
    """`DataError` that names what the model reads and neither spine nor views give."""
    missing = [name for name in read_columns(bundle.manifest) if name not in stream]
    if missing:
        raise DataError(
            f"model:{bundle.manifest.model}",
            f"nothing gives {', '.join(missing)}",
            expected="every feature of its views, and every input in the spine",
            mend="score a spine file that has these columns beside the keys",
        )


def output_schema(manifest: BundleManifest, stream: Schema) -> Schema:
    """Keys, ``event_time``, the outputs, model and version.

    Binary: ``probability`` of the positive class. Multiclass: the likeliest ``class`` and ``probability_<class>`` for
    each. Regression: ``prediction``.
    """
    keys = [field.name for field in manifest.keys]
    for name in keys:
        if name not in stream:
            raise DataError(f"model:{manifest.model}", f"the spine has no key {name!r}")
    kept = [field for field in stream if field.name in (*keys, EVENT_TIME)]
    schema = Schema((*kept, *_outputs(manifest), Field(MODEL, DataType.STRING), Field(VERSION, DataType.INT64)))
    if len(set(schema.names)) != len(schema.names):
        raise DefinitionError(
            f"model:{manifest.model}",
            f"a key is called like a column of the predictions: {', '.join(schema.names)}",
            mend="rename the entity's key",
        )
    return schema


def _outputs(manifest: BundleManifest) -> list[Field]:
    if manifest.task is not Task.MULTICLASS:
        return [Field(PROBABILITY if manifest.task is Task.BINARY else PREDICTION, DataType.FLOAT64)]
    shares = [Field(f"{PROBABILITY}_{label}", DataType.FLOAT64) for label in manifest.classes]
    return [Field(CLASS, _class_type(manifest)), *shares]


def output_columns(manifest: BundleManifest, output: np.ndarray) -> list[pa.Array]:
    """The outputs of `Bundle.predict` in the order of `output_schema`."""
    if manifest.task is not Task.MULTICLASS:
        return [pa.array(np.ascontiguousarray(output.reshape(len(output)), np.float64))]
    likeliest = pa.array(list(manifest.classes), arrow_type(_class_type(manifest))).take(
        pa.array(output.argmax(axis=1))
    )
    return [likeliest, *(pa.array(np.ascontiguousarray(output[:, place])) for place in range(output.shape[1]))]


def _class_type(manifest: BundleManifest) -> DataType:
    first = manifest.classes[0]
    if isinstance(first, bool):
        return DataType.BOOL
    return DataType.INT64 if isinstance(first, int) else DataType.STRING
