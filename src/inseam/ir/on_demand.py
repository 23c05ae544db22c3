"""On-demand features: one vectorised function, called the same way at training, scoring, serving and replay."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from inseam.ir.functions import FunctionRef
from inseam.ir.windows import EVENT_TIME
from inseam.kernel.errors import DataError
from inseam.kernel.types import DataType, Field

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class OnDemandSpec:
    """``features`` are columns of views, ``inputs`` come with the request (or the spine). Both are named parameters.

    A parameter called ``event_time`` receives the read instants as ``datetime64[us]``.
    """

    name: str
    type: DataType
    function: FunctionRef
    features: tuple[Field, ...]
    inputs: tuple[Field, ...]
    takes_event_time: bool = False

    @property
    def parameters(self) -> tuple[Field, ...]:
        return (*self.features, *self.inputs)


def call(spec: OnDemandSpec, function: Callable[..., Any], columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """The feature's column from its parameters' columns, in the forms of `encoding.to_numpy`.

    Numbers and bools arrive as float64 with NaN for NULL, strings as object arrays with None, instants as
    ``datetime64[us]`` with NaT, all read-only; the result has the same form. `DataError` for a function that fails, a
    result of another length, and a value that the declared type cannot hold (it would be another value once stored).
    """
    import numpy as np

    names = [field.name for field in spec.parameters] + ([EVENT_TIME] if spec.takes_event_time else [])
    arguments = {name: _read_only(columns[name]) for name in names}
    try:
        with np.errstate(all="ignore"):
            result = np.asarray(function(**arguments))
    except Exception as error:
        raise DataError(
            f"on_demand:{spec.name}",
            f"the function failed: {type(error).__name__}: {error}",
            expected="a function of whole columns that changes none of them",
        ) from error
    rows = len(columns[EVENT_TIME])
    if result.shape == ():
        result = np.full(rows, result[()])
    if result.shape != (rows,):
        raise DataError(
            f"on_demand:{spec.name}",
            f"the function returned an array of shape {result.shape}",
            expected=f"one value a row: shape ({rows},)",
        )
    return _formed(spec, result)


def _read_only(column: np.ndarray) -> np.ndarray:
    """A view that cannot be written to: other features read the same column."""
    view = column.view()
    view.flags.writeable = False
    return view


def _formed(spec: OnDemandSpec, result: np.ndarray) -> np.ndarray:
    import numpy as np

    try:
        if spec.type is DataType.STRING:
            return _texts(spec, result)
        if spec.type is DataType.TIMESTAMP:
            return result.astype("datetime64[us]", copy=False)
        if spec.type is DataType.DATE:
            return result.astype("datetime64[D]", copy=False)
        numbers = result.astype(np.float64, copy=False)
    except (TypeError, ValueError):
        raise _unfit(spec, f"an array of {result.dtype}") from None
    if spec.type is DataType.INT64 and not np.all(np.isnan(numbers) | (np.trunc(numbers) == numbers)):
        raise _unfit(spec, "numbers that are not whole")
    if spec.type is DataType.INT64 and np.any(np.isinf(numbers)):
        raise _unfit(spec, "infinite numbers")
    if spec.type is DataType.BOOL and not np.all(np.isnan(numbers) | (numbers == 0) | (numbers == 1)):
        raise _unfit(spec, "numbers other than 0 and 1")
    return numbers


def _texts(spec: OnDemandSpec, result: np.ndarray) -> np.ndarray:
    if result.dtype.kind == "U":
        return result.astype(object)
    if result.dtype.kind != "O":
        raise _unfit(spec, f"an array of {result.dtype}")
    if not all(value is None or type(value) is str for value in result.tolist()):
        raise _unfit(spec, "values other than text and None")
    return result


def _unfit(spec: OnDemandSpec, found: str) -> DataError:
    return DataError(
        f"on_demand:{spec.name}",
        f"the function is annotated to return {spec.type.value} and returned {found}",
        expected=f"what fits in {spec.type.value}",
    )
