"""Histograms from kept statistics: shares add up, ties are one bar's, long tails don't flatten the rest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inseam.ir.histogram import histogram


def of(values: list[float]) -> dict[str, object]:
    return {"count": len(values), "nulls": 0, "quantiles": np.quantile(values, np.linspace(0, 1, 21)).tolist()}


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60))
def test_shares_of_numbers_add_up_to_one(values: list[float]) -> None:
    bars = histogram(of(values))
    assert sum(bar.share for bar in bars) == pytest.approx(1)
    assert all(bar.share >= -1e-12 for bar in bars)


def test_even_numbers_make_even_bars() -> None:
    bars = histogram(of([float(n) for n in range(1001)]))
    assert [bar.share for bar in bars] == pytest.approx([0.05] * 20)


def test_equal_numbers_lie_in_one_bar() -> None:
    bars = histogram(of([0.0] * 60 + [float(n) for n in range(1, 41)]))
    assert bars[0].share > 0.55
    assert histogram(of([3.0, 3.0])) == (histogram(of([3.0]))[0],)


def test_a_long_tail_is_a_bar_of_its_own() -> None:
    bars = histogram(of([float(n) for n in range(100)] + [1e6]))
    assert bars[-1].label.startswith("above")
    assert max(bar.share for bar in bars) < 0.2


def test_categories_are_shares_of_values_that_are_there() -> None:
    bars = histogram({"count": 10, "nulls": 2, "distinct": 2, "top": [["a", 6], ["b", 2]]})
    assert [(bar.label, bar.share) for bar in bars] == [("a", 0.75), ("b", 0.25)]
    assert histogram({"count": 2, "nulls": 2, "top": []}) == ()
    assert histogram({"count": 2, "nulls": 2, "quantiles": None}) == ()
