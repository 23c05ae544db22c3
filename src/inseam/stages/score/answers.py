"""A model's answers to rows of features, made where the rows are."""

from __future__ import annotations

from functools import partial

import numpy as np
import pyarrow as pa

from inseam.ir.encoding import to_numpy
from inseam.kernel.errors import DataError, InseamError
from inseam.kernel.types import Schema
from inseam.ports.bundle import Bundle
from inseam.ports.rows import Batches, Rows
from inseam.stages.score.predictions import check_columns, output_columns, output_schema, read_columns


def ask(bundle: Bundle, version: int, features: Rows) -> Rows:
    """The predictions for rows of features, under `output_schema`."""
    stream = Schema.from_arrow(features.schema)
    check_columns(bundle, stream)
    schema = output_schema(bundle.manifest, stream).to_arrow()
    return features.map(partial(_answers, bundle, version, schema), schema)


def _answers(bundle: Bundle, version: int, schema: pa.Schema, batches: Batches) -> Batches:
    manifest = bundle.manifest
    needed = read_columns(manifest)
    for batch in batches:
        if batch.num_rows == 0:
            continue
        output = _ask(bundle, version, {name: to_numpy(batch.column(name), type_) for name, type_ in needed.items()})
        kept = [name for name in batch.schema.names if name in schema.names[: len(manifest.keys) + 1]]
        columns = [batch.column(name).cast(schema.field(name).type) for name in kept]
        columns += output_columns(manifest, output)
        columns += [pa.repeat(manifest.model, batch.num_rows), pa.repeat(pa.scalar(version), batch.num_rows)]
        yield pa.record_batch(columns, schema=schema)


def _ask(bundle: Bundle, version: int, columns: dict[str, np.ndarray]) -> np.ndarray:
    try:
        return bundle.predict(columns)
    except InseamError:
        raise
    except Exception as error:
        raise DataError(
            f"model:{bundle.manifest.model}@{version}",
            f"it could not answer: {type(error).__name__}: {str(error).strip().partition(chr(10))[0]}",
            mend="a model that refuses NULL needs an imputer in its pipeline",
        ) from error
