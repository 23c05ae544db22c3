"""From rows to predictions: look up, apply the policy for unknown entities, derive, predict; all by column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from inseam.ir.encoding import Encoding
from inseam.ir.on_demand import call
from inseam.ir.training import EndpointSpec
from inseam.ir.windows import EVENT_TIME
from inseam.kernel.types import DataType, Field
from inseam.ports.bundle import Bundle, BundleManifest
from inseam.stages.serve.endpoint import FeatureReading, FeatureRows
from inseam.stages.serve.record import NO_INSTANT, Packed
from inseam.stages.serve.request import FEATURES, cells

_NUMERIC = frozenset(type_ for type_ in DataType if type_.is_numeric)
_FEW = 1024
_UNITS = {DataType.TIMESTAMP: "datetime64[us]", DataType.DATE: "datetime64[D]"}


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


def look_up(
    spec: EndpointSpec, reader: FeatureReading | None, rows: Sequence[Any], *, at: int, is_given: bool
) -> Looked:
    """Features of each row, from the online store or from the request, with the endpoint's defaults applied."""
    keys = [cells(rows, field) for field in spec.keys]
    inputs = [cells(rows, field) for field in spec.inputs]
    columns = to_columns(spec.inputs, inputs)
    columns[EVENT_TIME] = np.full(len(rows), at, np.int64).view("datetime64[us]")
    if is_given or reader is None:
        given = [getattr(row, FEATURES) for row in rows] if is_given else []
        fields = [field for view in spec.views for field in view.schema]
        columns |= to_columns(fields, [cells(given, field) for field in fields])
        return Looked(columns, keys, inputs)
    online = reader.read(list(zip(*keys, strict=True)), at=at)
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
                column[absent] = to_column([spec.defaults[field.name]], field.type)[0]
                columns[field.name] = column
        unknown |= absent
    return unknown


def derive(bundle: Bundle, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The on-demand features, as `Bundle.matrix` computes them; ``columns`` gains them."""
    for spec in bundle.manifest.on_demand:
        columns[spec.name] = call(spec, bundle.functions[spec.name], columns)
    return {spec.name: columns[spec.name] for spec in bundle.manifest.on_demand}


def outputs(bundle: Bundle, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """float64 (rows, outputs), each row with the bits that it would have alone, which is how it is replayed."""
    matrix = _matrix(bundle.manifest.encoding, columns)
    if bundle.predictor.is_row_independent or len(matrix) == 1:
        found = bundle.predictor.predict(matrix)
    else:
        found = np.concatenate([bundle.predictor.predict(matrix[row : row + 1]) for row in range(len(matrix))])
    return np.ascontiguousarray(found.reshape(len(matrix), -1), np.float64)


def _matrix(encoding: Encoding, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """`Encoding.matrix`, put together in one step where all columns are numbers: the same bytes in the same layout."""
    numbers = [columns[column.name] for column in encoding.columns]
    if len(numbers[0]) <= _FEW and all(column.type in _NUMERIC for column in encoding.columns):
        return np.ascontiguousarray(np.array(numbers, np.float64).T)
    return encoding.matrix(columns)


def to_columns(fields: Sequence[Field], values: Sequence[Sequence[Any]]) -> dict[str, np.ndarray]:
    """`to_column` of each field, the numbers in one conversion."""
    numeric = [place for place, field in enumerate(fields) if field.type in _NUMERIC]
    block = np.array([values[place] for place in numeric], np.float64) if numeric else ()
    columns = {fields[place].name: block[row] for row, place in enumerate(numeric)}
    for field, column in zip(fields, values, strict=True):
        if field.name not in columns:
            columns[field.name] = to_column(column, field.type)
    return columns


def to_column(values: Sequence[Any], type_: DataType) -> np.ndarray:
    """Plain values (None for NULL; `cells`' instants and dates) in the form of `encoding.to_numpy`."""
    if type_ is DataType.STRING:
        column = np.empty(len(values), object)
        column[:] = values
        return column
    if type_ in _UNITS:
        ticks = np.array([NO_INSTANT if value is None else value for value in values], np.int64)
        return ticks.view(_UNITS[type_])
    return np.array(values, np.float64)


def pack(column: np.ndarray, type_: DataType) -> Packed:
    """A column in the form of `encoding.to_numpy` as the prediction log holds it."""
    if type_ is DataType.STRING:
        return list(column.tolist())
    if type_ in _UNITS:
        return column.astype(_UNITS[type_]).tobytes()
    return column.astype(np.float64, copy=False).tobytes()


def null_columns(manifest: BundleManifest, rows: int = 1) -> dict[str, np.ndarray]:
    """Every column that a bundle reads, with NULLs."""
    fields: list[Field] = [*(field for use in manifest.views for field in use.features), *manifest.inputs]
    columns = {field.name: to_column([None] * rows, field.type) for field in fields}
    columns[EVENT_TIME] = np.zeros(rows, np.int64).view("datetime64[us]")
    return columns
