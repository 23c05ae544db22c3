"""From rows to predictions: look up, apply the policy for unknown entities, derive, predict; all by column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from inseam.ir.on_demand import call
from inseam.ir.training import EndpointSpec
from inseam.ir.windows import EVENT_TIME
from inseam.kernel.errors import UnavailableError
from inseam.kernel.types import Field
from inseam.ports.bundle import Bundle, BundleManifest
from inseam.stages.serve.cells import Cells, to_array
from inseam.stages.serve.endpoint import FeatureReading, FeatureRows, ViewRows
from inseam.stages.serve.no_rows import NoRows
from inseam.stages.serve.request import FEATURES

_FEW = 1024
_names: dict[str, tuple[str, ...]] = {}


class Recipe:
    """An endpoint's spec with the columns of its keys, inputs and looked-up features."""

    def __init__(self, spec: EndpointSpec) -> None:
        self.spec = spec
        self.keys = Cells(spec.keys)
        self.inputs = Cells(spec.inputs)
        self.features = Cells([field for view in spec.views for field in view.schema])


@dataclass(frozen=True, slots=True)
class Looked:
    """The columns that a group of rows is predicted from, and the request's own values, a sequence a field.

    ``online`` None: the caller gave the features. ``has_missing``: some view lacks some row. ``unknown``: where an
    entity has no online row at all, None when there is none such.
    """

    columns: dict[str, np.ndarray]
    keys: list[Sequence[Any]]
    inputs: list[Sequence[Any]]
    online: FeatureRows | None = None
    has_missing: bool = False
    unknown: np.ndarray | None = None


def look_up(recipe: Recipe, reader: FeatureReading | None, rows: Sequence[Any], *, at: int, is_given: bool) -> Looked:
    """Features of each row, from the online store or from the request, with the endpoint's defaults applied."""
    spec = recipe.spec
    keys, inputs = recipe.keys.values(rows), recipe.inputs.values(rows)
    columns = recipe.inputs.arrays(inputs)
    columns[EVENT_TIME] = np.full(len(rows), at, np.int64).view("datetime64[us]")
    if is_given or reader is None:
        given = [getattr(row, FEATURES) for row in rows] if is_given else []
        columns |= recipe.features.arrays(recipe.features.values(given))
        return Looked(columns, keys, inputs)
    try:
        online = reader.read(list(zip(*keys, strict=True)), at=at)
    except UnavailableError:
        if spec.unavailable != "default":
            raise
        online = NoRows(spec, len(rows))
        columns.update(online.columns)
        return Looked(columns, keys, inputs, online, has_missing=True)
    columns.update(online.columns)
    if not any(missing.any() for missing in online.is_missing.values()):
        return Looked(columns, keys, inputs, online)
    unknown = _unknown(spec, online, columns, len(rows))
    return Looked(columns, keys, inputs, online, has_missing=True, unknown=unknown if unknown.any() else None)


def _unknown(spec: EndpointSpec, online: FeatureRows, columns: dict[str, np.ndarray], rows: int) -> np.ndarray:
    """Rows with an entity (by one set of keys) of which no view has a row; their features get the defaults."""
    unknown = np.zeros(rows, np.bool_)
    for keys in dict.fromkeys(view.keys for view in spec.views):
        views = [view for view in spec.views if view.keys == keys]
        absent = np.logical_and.reduce([online.is_missing[view.name] for view in views])
        if spec.unknown == "default" and absent.any():
            for field in (field for view in views for field in view.schema if field.name in spec.defaults):
                column = columns[field.name].copy()
                column[absent] = to_array([spec.defaults[field.name]], field.type)[0]
                columns[field.name] = column
        unknown |= absent
    return unknown


def is_stale(spec: EndpointSpec, online: ViewRows, view: str, at: int) -> np.ndarray:
    """Which rows of a view are too old: the reader's own judgement, or that of ``max_staleness``."""
    if spec.max_staleness is None:
        return online.is_stale[view]
    return online.boundaries[view] < at - spec.max_staleness


def derive(bundle: Bundle, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The on-demand features, as `Bundle.matrix` computes them; ``columns`` gains them."""
    for spec in bundle.manifest.on_demand:
        columns[spec.name] = call(spec, bundle.functions[spec.name], columns)
    return {spec.name: columns[spec.name] for spec in bundle.manifest.on_demand}


def outputs(bundle: Bundle, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """float64 (rows, outputs), each row with the bits that it would have alone, which is how it is replayed."""
    matrix = _matrix(bundle, columns)
    if bundle.predictor.is_row_independent or len(matrix) == 1:
        found = bundle.predictor.predict(matrix)
    else:
        found = np.concatenate([bundle.predictor.predict(matrix[row : row + 1]) for row in range(len(matrix))])
    return np.ascontiguousarray(found.reshape(len(matrix), -1), np.float64)


def _matrix(bundle: Bundle, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """`Encoding.matrix`, put together in one step where all columns are numbers: the same bytes in the same layout."""
    encoding = bundle.manifest.encoding
    names = _number_names(bundle)
    if not names or len(columns[EVENT_TIME]) > _FEW:
        return encoding.matrix(columns)
    return np.ascontiguousarray(np.array([columns[name] for name in names], np.float64).T)


def _number_names(bundle: Bundle) -> tuple[str, ...]:
    """The matrix's columns when all of them are numbers, else nothing."""
    found = _names.get(bundle.digest)
    if found is None:
        columns = bundle.manifest.encoding.columns
        found = tuple(column.name for column in columns) if all(column.type.is_numeric for column in columns) else ()
        _names[bundle.digest] = found
    return found


def null_columns(manifest: BundleManifest, rows: int = 1) -> dict[str, np.ndarray]:
    """Every column that a bundle reads, with NULLs."""
    fields: list[Field] = [*(field for use in manifest.views for field in use.features), *manifest.inputs]
    columns = {field.name: to_array([None] * rows, field.type) for field in fields}
    columns[EVENT_TIME] = np.zeros(rows, np.int64).view("datetime64[us]")
    return columns
