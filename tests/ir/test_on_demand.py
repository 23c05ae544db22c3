"""On-demand features: whole columns in, one column out, and nothing else touched."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from inseam.ir.functions import FunctionRef
from inseam.ir.on_demand import OnDemandSpec, call
from inseam.kernel.errors import DataError
from inseam.kernel.types import DataType, Field

COLUMNS = {
    "spend": np.array([1.0, np.nan, 3.0]),
    "store": np.array(["a", None, "b"], dtype=object),
    "event_time": np.array([0, 1, 2], dtype="datetime64[us]"),
}


def run(function: Callable[..., Any], type_: DataType = DataType.FLOAT64, *, event_time: bool = False) -> np.ndarray:
    names = [n for n in function.__code__.co_varnames[: function.__code__.co_argcount] if n != "event_time"]
    fields = tuple(Field(name, DataType.FLOAT64) for name in names)
    spec = OnDemandSpec("ratio", type_, FunctionRef("m", "f", "0"), fields, (), event_time)
    return call(spec, function, COLUMNS)


def test_numbers_come_and_go_as_floats_with_nan_for_null():
    assert np.array_equal(run(lambda spend: spend * 2), [2.0, np.nan, 6.0], equal_nan=True)
    assert run(lambda spend: spend > 2, DataType.BOOL).tolist() == [0.0, 0.0, 1.0]
    assert run(lambda spend: np.nan_to_num(spend).astype(int), DataType.INT64).dtype == np.float64


def test_division_by_zero_is_silent_and_infinite():
    assert np.isposinf(run(lambda spend: spend / 0)[0])


def test_one_value_stands_for_every_row():
    assert run(lambda: 7).tolist() == [7.0, 7.0, 7.0]
    assert run(lambda: "x", DataType.STRING).tolist() == ["x", "x", "x"]


def test_texts_are_objects_with_none():
    result = run(lambda spend: np.where(spend > 2, "big", "small"), DataType.STRING)
    assert result.dtype == object
    assert result.tolist() == ["small", "small", "big"]
    assert run(lambda store: store, DataType.STRING).tolist() == ["a", None, "b"]


def test_the_instants_are_given_on_request():
    moved = run(lambda event_time: event_time + np.timedelta64(1, "D"), DataType.TIMESTAMP, event_time=True)
    assert moved.dtype == "datetime64[us]"
    day = run(lambda event_time: event_time, DataType.DATE, event_time=True)
    assert day.dtype == "datetime64[D]"


def test_a_function_cannot_change_what_other_features_read():
    def fills(spend: np.ndarray) -> np.ndarray:
        spend[np.isnan(spend)] = 0
        return spend

    with pytest.raises(DataError, match="read-only"):
        run(fills)
    assert np.isnan(COLUMNS["spend"][1])
    assert COLUMNS["spend"].flags.writeable


@pytest.mark.parametrize(
    ("function", "type_", "found"),
    [
        (lambda spend: spend[:2], DataType.FLOAT64, r"shape \(2,\)"),
        (lambda spend: spend[:, None], DataType.FLOAT64, r"shape \(3, 1\)"),
        (lambda spend: spend + 0.5, DataType.INT64, "not whole"),
        (lambda spend: spend / 0, DataType.INT64, "infinite"),
        (lambda spend: spend, DataType.BOOL, "other than 0 and 1"),
        (lambda spend: spend, DataType.STRING, "array of float64"),
        (lambda store: store, DataType.FLOAT64, "array of object"),
        (lambda: np.array(["a", 1, None], dtype=object), DataType.STRING, "other than text"),
        (lambda spend: spend.missing, DataType.FLOAT64, "AttributeError"),
    ],
)
def test_what_does_not_fit_is_refused(function: Callable[..., Any], type_: DataType, found: str):
    with pytest.raises(DataError, match=found) as caught:
        run(function, type_)
    assert caught.value.problems[0].subject == "on_demand:ratio"
