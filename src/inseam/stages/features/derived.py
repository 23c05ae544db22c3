"""On-demand features of a training set: called as serving calls them, kept as columns of their declared type."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from inseam.ir.encoding import to_numpy
from inseam.ir.on_demand import OnDemandSpec, call
from inseam.ir.windows import EVENT_TIME
from inseam.kernel.errors import DataError, DefinitionError, InseamError
from inseam.kernel.types import DataType, Schema, arrow_type

_WHOLE = 2.0**53
"""Beyond it float64, the form in which models and serving see every number, skips whole numbers."""


class Derived:
    """The on-demand features of a set, in declared order: a later one may read an earlier one."""

    def __init__(self, specs: Sequence[OnDemandSpec], available: Schema) -> None:
        """``available``: the spine's columns and the views'. `DefinitionError` for a parameter that nothing gives."""
        self._functions: list[tuple[OnDemandSpec, Callable[..., Any]]] = []
        known = {field.name: field.type for field in available}
        made: set[str] = set()
        self._needed = {EVENT_TIME: DataType.TIMESTAMP} if specs else {}
        for spec in specs:
            for field in spec.parameters:
                if field.name in made:
                    continue
                if field.name not in known:
                    raise DefinitionError(
                        f"on_demand:{spec.name}",
                        f"nothing gives its parameter {field.name!r}",
                        expected=f"one of: {', '.join([*known, *sorted(made)])}",
                        mend="carry the column in the spine, or name a feature of the set",
                    )
                self._needed[field.name] = field.type
            made.add(spec.name)
            self._functions.append((spec, spec.function.resolve()))

    def columns(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        """The features of these rows by name. `DataError` when a function fails or breaks its declared type."""
        known = {name: to_numpy(batch.column(name), type_) for name, type_ in self._needed.items()}
        found: dict[str, pa.Array] = {}
        for spec, function in self._functions:
            known[spec.name] = _called(spec, function, known)
            found[spec.name] = to_arrow(spec, known[spec.name])
        return found


def _called(spec: OnDemandSpec, function: Callable[..., Any], known: Mapping[str, np.ndarray]) -> np.ndarray:
    try:
        return call(spec, function, known)
    except InseamError:
        raise
    except Exception as error:
        raise DataError(f"on_demand:{spec.name}", f"the function failed: {type(error).__name__}: {error}") from error


def to_arrow(spec: OnDemandSpec, values: np.ndarray) -> pa.Array:
    """A column in a form of `encoding.to_numpy` as Arrow in the spec's type; NaN, NaT and None become NULL."""
    if spec.type in (DataType.INT64, DataType.BOOL):
        missing = np.isnan(values)
        plain = np.where(missing, 0.0, values)
        if spec.type is DataType.INT64:
            fits = (np.abs(plain) <= _WHOLE) & (plain == np.floor(plain))
        else:
            fits = (plain == 0.0) | (plain == 1.0)
        if not fits.all():
            raise _breaks_type(spec, f"it returned {plain[~fits][0]!r}")
        return pa.array(plain.astype(np.int64 if spec.type is DataType.INT64 else np.bool_), mask=missing)
    type_ = arrow_type(spec.type)
    try:
        if spec.type is DataType.TIMESTAMP:
            values = values.astype("datetime64[us]")
        elif spec.type is DataType.DATE:
            values = values.astype("datetime64[D]")
        return pa.array(values, type=type_, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, ValueError, TypeError) as error:
        raise _breaks_type(spec, f"it returned what is none: {error}") from error


def _breaks_type(spec: OnDemandSpec, found: str) -> DataError:
    return DataError(
        f"on_demand:{spec.name}",
        found,
        expected=f"values of its declared type, {spec.type}",
        mend="change the function's result or its return type",
    )
