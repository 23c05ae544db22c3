"""The members of rows, against a loop."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inseam.ports.wildcard import members_of

CELLS = {pa.string(): [None, "", "a", "é"], pa.int64(): [None, -1, 0, 2**60 + 1], pa.bool_(): [None, True, False]}


@pytest.mark.parametrize("type_", CELLS, ids=str)
@settings(max_examples=30)
@given(data=st.data())
def test_each_row_has_its_different_values_in_order(type_: pa.DataType, data: st.DataObject) -> None:
    width = data.draw(st.integers(1, 5))
    cell = st.sampled_from(CELLS[type_])
    drawn = data.draw(st.lists(st.lists(cell, min_size=width, max_size=width), max_size=6))
    expected: list[tuple[int, Any]] = []
    for row, cells in enumerate(drawn):
        expected += [(row, one) for one in dict.fromkeys(cells) if one is not None]
    columns = [pa.array([cells[place] for cells in drawn], type_) for place in range(width)]
    rows, members = members_of(columns)
    assert members.type == type_
    assert list(zip(rows.tolist(), members.to_pylist(), strict=True)) == expected
