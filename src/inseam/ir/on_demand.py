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
    ``datetime64[us]`` with NaT; the result has the same form. A result of another length is a `DataError`.
    """
    import numpy as np

    arguments = {field.name: columns[field.name] for field in spec.parameters}
    if spec.takes_event_time:
        arguments[EVENT_TIME] = columns[EVENT_TIME]
    rows = len(columns[EVENT_TIME])
    with np.errstate(all="ignore"):
        result = np.asarray(function(**arguments))
    if result.shape == ():
        result = np.full(rows, result[()])
    if result.shape != (rows,):
        raise DataError(
            f"on_demand:{spec.name}",
            f"the function returned an array of shape {result.shape}",
            expected=f"one value a row: shape ({rows},)",
        )
    if spec.type in (DataType.STRING, DataType.TIMESTAMP, DataType.DATE):
        return result
    return result.astype(np.float64, copy=False)
