"""The digest is of what rows say."""

from __future__ import annotations

import struct

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inseam.kernel.types import DataType, Schema
from inseam.stages.features.digest import RowsDigest


def digest(schema, *batches):
    found = RowsDigest(schema)
    for batch in batches:
        found.update(batch)
    return found.hexdigest()


def of(values, type_="float64", name="a"):
    schema = Schema.of([(name, type_)])
    return digest(
        schema, pa.record_batch([pa.array(values, schema.to_arrow().field(0).type)], schema=schema.to_arrow())
    )


@pytest.mark.parametrize(
    ("one", "other", "type_"),
    [
        ([None], [0.0], "float64"),
        ([0.0], [-0.0], "float64"),
        ([1, None], [None, 1], "int64"),
        (["a", "bc"], ["ab", "c"], "string"),
        ([None, "a"], ["", "a"], "string"),
        ([False], [None], "bool"),
        ([1, 2], [2, 1], "timestamp"),
        ([1], [1, 1], "date"),
    ],
)
def test_what_differs_differs(one, other, type_):
    assert of(one, type_) != of(other, type_)


def test_names_and_types_count():
    assert of([1], "int64") != of([1], "timestamp")
    assert of([1], "int64") != of([1], "int64", "b")


def test_hidden_bytes_do_not_count():
    schema = Schema.of([("a", "float64")])
    mask = np.array([True, False])
    under = [pa.record_batch([pa.array(np.array([x, 1.0]), mask=mask)], names=["a"]) for x in (5.0, 7.0)]
    assert digest(schema, under[0]) == digest(schema, under[1]) == of([None, 1.0])
    odd = np.frombuffer(struct.pack("<Q", 0x7FF8_0000_0000_0001), np.float64)
    assert digest(schema, pa.record_batch([pa.array(odd)], names=["a"])) == of([float("nan")])


ROWS = st.lists(
    st.tuples(
        st.none() | st.text(max_size=3),
        st.none() | st.floats(allow_nan=False),
        st.none() | st.booleans(),
        st.none() | st.integers(0, 2**40),
    ),
    max_size=30,
)


@given(ROWS, st.integers(1, 9))
def test_cuts_do_not_count(rows, size):
    types = ("string", "float64", "bool", "timestamp")
    schema = Schema.of([(type_[0], DataType(type_)) for type_ in types])
    columns = [pa.array([row[place] for row in rows], field.type) for place, field in enumerate(schema.to_arrow())]
    whole = pa.record_batch(columns, schema=schema.to_arrow())
    pieces = [whole.slice(at, size) for at in range(0, len(rows), size)]
    assert digest(schema, whole) == digest(schema, *pieces)
    copied = [pa.RecordBatch.from_pylist(piece.to_pylist(), schema=whole.schema) for piece in pieces]
    assert digest(schema, whole) == digest(schema, *copied)
