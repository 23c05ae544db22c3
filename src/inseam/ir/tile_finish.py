"""Values from the states of the tiles that a window covers."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np

from inseam.ir import sketch
from inseam.ir.aggregates import AggregateKind, AggregateSpec
from inseam.ir.double_double import two_product, two_sum
from inseam.ir.tile_measure import NO_PLACE, Measure
from inseam.ir.tile_merge import State, merged
from inseam.kernel.errors import DataError
from inseam.kernel.types import DataType

_FIRST = np.zeros(1, np.int64)
_EXACT = 2.0**-80
"""Below this share of the mean a deviation is what is left of equal cells."""


def finished(spec: AggregateSpec, measure: Measure, state: State) -> Any:
    """The value over some tiles, as a Python number or text, instants as integers; None for NULL."""
    return _FINISHES[spec.kind](spec, measure, state)


def _count(_: AggregateSpec, __: Measure, state: State) -> Any:
    return int(state["n"].sum())


def _sum(spec: AggregateSpec, measure: Measure, state: State) -> Any:
    if not state["n"].any():
        return None
    if measure.family == "sum":
        return total(state)
    whole = (int(state["high"].sum()) << 32) + int(state["low"].sum())
    if not -(1 << 63) <= whole < 1 << 63:
        raise DataError(f"feature {spec.name!r}", f"the sum {whole} is beyond 64 bits", mend="sum it as float64")
    return whole


def total(state: State) -> float:
    """The sum of the pairs, rounded once."""
    high = state["high"]
    if not np.isfinite(high).all():
        return float(high[~np.isfinite(high)].sum())
    return math.fsum(chain(high.tolist(), state["low"].tolist()))


def _mean(_: AggregateSpec, __: Measure, state: State) -> Any:
    count = int(state["n"].sum())
    return total(state) / count if count else None


def _deviation(_: AggregateSpec, __: Measure, state: State) -> Any:
    count = int(state["n"].sum())
    if count < 2:
        return None
    high = total(state)
    if not math.isfinite(high):
        return math.nan
    parts = [*state["high"].tolist(), *state["low"].tolist()]
    low = math.fsum([*parts, -high])
    weight = state["n"].astype(np.float64)
    # For each tile n * N * (its mean - the mean of all), exact before the last rounding.
    one, one_error = two_product(state["high"], np.full(weight.size, float(count)))
    other, other_error = two_product(weight, np.full(weight.size, high))
    distance, error = two_sum(one, -other)
    distance = distance + (error + (one_error - other_error) + (state["low"] * count - weight * low))
    between = np.divide(distance * distance, weight, out=np.zeros(weight.size), where=weight > 0)
    squares = math.fsum(state["squares"].tolist()) + math.fsum(between.tolist()) / (count * count)
    deviation = math.sqrt(squares / (count - 1))
    return 0.0 if deviation < abs(high / count) * _EXACT else deviation


def _picked(_: AggregateSpec, measure: Measure, state: State) -> Any:
    if not state["held"].size:
        return None
    best = merged(measure, state, _FIRST)
    if not best["held"][0] or (measure.family in NO_PLACE and best["ts"][0] == NO_PLACE[measure.family]):
        return None
    if measure.heap is not None:
        return best["heap"].tobytes().decode()
    cell = best["cell"][0].item()
    return bool(cell) if measure.type is DataType.BOOL else cell


def _distinct(_: AggregateSpec, __: Measure, state: State) -> Any:
    return int(np.unique(state["heap"]).size)


def _quantile(spec: AggregateSpec, __: Measure, state: State) -> Any:
    cells = np.sort(state["heap"])
    if not cells.size or spec.quantile is None:
        return None
    place = (cells.size - 1) * spec.quantile
    low = math.floor(place)
    below, above = float(cells[low]), float(cells[min(low + 1, cells.size - 1)])
    # In the very order in which the engines interpolate: another one gives other bits.
    return below if place == low else below * (1.0 - (place - low)) + above * (place - low)


def _approx_distinct(_: AggregateSpec, __: Measure, state: State) -> Any:
    hashes = np.unique(state["heap"])[: sketch.MOST]
    return int(sketch.estimates(np.array([hashes.size]), hashes[-1:])[0]) if hashes.size else 0


def _approx_quantile(spec: AggregateSpec, _: Measure, state: State) -> Any:
    bins = np.sort(state["heap"], order="f0")
    if not bins.size or spec.quantile is None:
        return None
    until = np.cumsum(bins["f1"])
    place = math.floor((int(until[-1]) - 1) * spec.quantile)
    return float(bins["f0"][np.searchsorted(until, place, side="right")])


_FINISHES: dict[AggregateKind, Callable[[AggregateSpec, Measure, State], Any]] = {
    AggregateKind.COUNT: _count,
    AggregateKind.SUM: _sum,
    AggregateKind.MEAN: _mean,
    AggregateKind.STD: _deviation,
    AggregateKind.MIN: _picked,
    AggregateKind.MAX: _picked,
    AggregateKind.FIRST: _picked,
    AggregateKind.LAST: _picked,
    AggregateKind.DISTINCT: _distinct,
    AggregateKind.QUANTILE: _quantile,
    AggregateKind.APPROX_DISTINCT: _approx_distinct,
    AggregateKind.APPROX_QUANTILE: _approx_quantile,
}
