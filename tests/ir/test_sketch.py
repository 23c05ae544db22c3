"""Approximations keep their promises: the stated errors, the same bits in any order, and when states are merged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from inseam.ir.aggregates import AggregateKind, AggregateSpec
from inseam.ir.sketch import DIGITS, MOST, estimates, sketched
from inseam.ir.tile_finish import finished
from inseam.ir.tile_lift import lifted
from inseam.ir.tile_measure import Measure
from inseam.ir.tile_merge import State, merged
from inseam.kernel.types import DataType, data_type

SPECS = {
    AggregateKind.APPROX_DISTINCT: AggregateSpec("d", AggregateKind.APPROX_DISTINCT, DataType.INT64, "c"),
    AggregateKind.APPROX_QUANTILE: AggregateSpec(
        "q", AggregateKind.APPROX_QUANTILE, DataType.FLOAT64, "c", quantile=0.9
    ),
}


def value(kind: AggregateKind, column: pa.Array, segments: Sequence[int] = (0,)) -> tuple[object, State]:
    """The value over a column whose segments are merged first, and the merged state."""
    measure = Measure.of(SPECS[kind], data_type(column.type))
    place = {name: np.arange(len(column)) for name in ("ts", "known", "seq")}
    state = merged(measure, lifted(measure, column, None, place), np.array(segments))
    return finished(SPECS[kind], measure, state), state


COLUMNS = {
    "whole numbers": lambda n: pa.array(np.arange(n) * 7 - n),
    "texts": lambda n: pa.array([f"session-{i}" for i in range(n)]),
    "floats": lambda n: pa.array(np.sqrt(np.arange(n))),
    "instants": lambda n: pa.array(np.arange(n) * 1_000_000, pa.timestamp("us", tz="UTC")),
}


@pytest.mark.parametrize("column", COLUMNS)
def test_different_values_are_exact_at_first_and_then_within_the_stated_error(column: str) -> None:
    make = COLUMNS[column]
    assert value(AggregateKind.APPROX_DISTINCT, make(MOST - 1))[0] == MOST - 1
    for count in (MOST, 5_000, 40_000):
        found, state = value(AggregateKind.APPROX_DISTINCT, make(count))
        assert state["heap"].size == MOST
        assert abs(found / count - 1) < 4 / np.sqrt(MOST - 2)


def test_the_estimate_is_not_biased_and_spreads_as_stated() -> None:
    """Over many sets the errors have the mean 0 and the stated deviation."""
    count, sets = 10_000, 300
    hashes = sketched(AggregateKind.APPROX_DISTINCT, pa.array(np.arange(count * sets))).to_numpy().reshape(sets, count)
    greatest = np.partition(hashes, MOST - 1, axis=1)[:, MOST - 1]
    errors = estimates(np.full(sets, MOST), greatest) / count - 1
    stated = 1 / np.sqrt(MOST - 2)
    assert abs(errors.mean()) < 4 * stated / np.sqrt(sets)
    assert 0.8 * stated < errors.std() < 1.2 * stated


def test_quantiles_are_within_the_stated_error_of_the_exact_cell() -> None:
    rng = np.random.default_rng(3)
    for cells in (rng.lognormal(3, 4, 20_001), rng.normal(0, 1e9, 5_000), rng.integers(-300, 300, 5_000)):
        found, state = value(AggregateKind.APPROX_QUANTILE, pa.array(cells))
        exact = np.quantile(cells, 0.9, method="lower")
        assert abs(found - exact) <= abs(exact) * 2.0**-DIGITS
        assert state["heap"].size < 6_000


def test_extreme_numbers_are_rounded_without_harm() -> None:
    cells = [1.7976931348623157e308, -1.7976931348623157e308, 5e-324, -0.0, 255.0, 257.0, None, float("nan")]
    found = sketched(AggregateKind.APPROX_QUANTILE, pa.array(cells, pa.float64())).to_pylist()
    assert found == [cells[0], cells[1], 5e-324, 0.0, 255.0, 258.0, None, None]


@pytest.mark.parametrize("kind", SPECS)
def test_neither_order_nor_merging_changes_a_bit(kind: AggregateKind) -> None:
    rng = np.random.default_rng(5)
    cells = rng.integers(0, 6_000, 20_000)
    whole, _ = value(kind, pa.array(cells))
    for _ in range(3):
        shuffled = rng.permutation(cells)
        measure = Measure.of(SPECS[kind], DataType.INT64)
        parts = [value(kind, pa.array(part))[1] for part in np.array_split(shuffled, 7)]
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        again = merged(measure, joined, np.array([0, 2, 3]))
        assert finished(SPECS[kind], measure, again) == whole


def test_no_cell_is_none_and_nothing_the_same_for_other_cells() -> None:
    nothing = pa.array([None, None], pa.float64())
    assert value(AggregateKind.APPROX_DISTINCT, nothing)[0] == 0
    assert value(AggregateKind.APPROX_QUANTILE, nothing)[0] is None
    assert value(AggregateKind.APPROX_DISTINCT, pa.array([0.0, -0.0, float("nan"), None]))[0] == 1
