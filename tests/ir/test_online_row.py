"""Rows: what goes in comes out, one by one and many together, bit for bit."""

import math
import struct
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inseam.ir.encoding import to_numpy
from inseam.ir.online_block import RowBlock
from inseam.ir.online_entity import HEAD_FIELDS, EntityCodec, UnknownLayoutError
from inseam.ir.online_row import LAYOUT, NO_BOUNDARY, NO_VERSION, RowCodec
from inseam.kernel.errors import DataError
from inseam.kernel.types import DataType, Schema

BITS = st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0])
VALUES = {
    DataType.INT64: st.one_of(st.integers(-(2**63), 2**63 - 1), st.sampled_from([0, -1, 2**53 + 1])),
    DataType.FLOAT64: st.one_of(st.floats(), BITS, st.sampled_from([math.nan, -0.0, 5e-324])),
    DataType.BOOL: st.booleans(),
    DataType.DATE: st.dates(),
    DataType.TIMESTAMP: st.datetimes(timezones=st.just(UTC)),
    DataType.STRING: st.one_of(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=9), st.sampled_from(["", "\x00", "ß" * 500])
    ),
}


@st.composite
def tables(draw):
    types = draw(
        st.one_of(
            st.lists(st.sampled_from(list(VALUES)), max_size=9),
            st.lists(st.just(DataType.FLOAT64), min_size=63, max_size=66),
        )
    )
    rows = draw(st.integers(1, 5))
    schema = Schema.of((f"f{place}", type_) for place, type_ in enumerate(types))
    columns = [draw(st.lists(st.none() | VALUES[type_], min_size=rows, max_size=rows)) for type_ in types]
    return schema, columns, rows


def batch_of(schema, columns, rows):
    arrow = schema.to_arrow()
    arrays = [pa.array(column, field.type) for column, field in zip(columns, arrow, strict=True)]
    # A first column makes the number of rows known where the schema is empty.
    return pa.record_batch([pa.array(range(rows)), *arrays], pa.schema([pa.field("key", pa.int64()), *arrow]))


def bits(value):
    return struct.pack("<d", value) if isinstance(value, float) else value


@settings(deadline=None, max_examples=50)
@given(tables(), st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**31 - 1))
def test_rows_come_back_one_by_one_and_together(case, boundary, version):
    schema, columns, count = case
    codec = RowCodec(schema)
    rows = codec.encode(batch_of(schema, columns, count), boundary, version)
    expected = [[bits(value) for value in row] for row in zip(*columns, strict=True)] or [[]] * count
    for row, values in zip(rows, expected, strict=True):
        decoded = EntityCodec([codec]).decode([row])
        heads, found = decoded
        assert heads[:2] == (boundary, version)
        assert heads[2].startswith(row[LAYOUT])
        assert tuple(found) == schema.names
        assert [bits(value) for value in found.values()] == values
        assert all(type(value) is not np.float64 for value in found.values())
    block = RowBlock(codec, rows)
    assert block.boundaries.tolist() == [boundary] * count
    assert block.versions.tolist() == [version] * count
    assert [[bits(value) for value in column] for column in block.values()] == [
        [bits(value) for value in column] for column in columns
    ]


@settings(deadline=None, max_examples=50)
@given(tables())
def test_arrays_are_what_training_gets(case):
    schema, columns, count = case
    codec = RowCodec(schema)
    batch = batch_of(schema, columns, count)
    for field, found in zip(schema, RowBlock(codec, codec.encode(batch, 0, 0)).arrays(), strict=True):
        expected = to_numpy(batch.column(field.name), field.type)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


@settings(deadline=None, max_examples=50)
@given(tables())
def test_missing_rows_are_nothing_and_change_no_other(case):
    schema, columns, count = case
    zeros = {field.name for field in schema if field.type is DataType.INT64}
    codec = RowCodec(schema, zeros=zeros)
    rows = codec.encode(batch_of(schema, columns, count), 5, 6)
    block = RowBlock(codec, [None, *rows, None])
    assert block.boundaries.tolist() == [NO_BOUNDARY, *[5] * count, NO_BOUNDARY]
    assert block.versions.tolist() == [NO_VERSION, *[6] * count, NO_VERSION]
    nothing = [0 if field.name in zeros else None for field in schema]
    assert [[bits(value) for value in column] for column in block.values()] == [
        [empty, *(bits(value) for value in column), empty] for empty, column in zip(nothing, columns, strict=True)
    ]
    decoded = EntityCodec([codec]).decode([None])
    assert decoded[0][:2] == (NO_BOUNDARY, NO_VERSION)
    assert list(decoded[1].values()) == nothing


@settings(deadline=None, max_examples=50)
@given(tables(), st.randoms(use_true_random=False))
def test_some_features_of_a_row(case, random):
    schema, columns, count = case
    wanted = [field.name for field in schema if random.random() < 0.5]
    batch = batch_of(schema, columns, count)
    rows = RowCodec(schema).encode(batch, 1, 2)
    codec = RowCodec(schema, wanted=wanted)
    assert [field.name for field in codec.fields] == wanted
    expected = [[bits(value) for value in batch.column(name).to_pylist()] for name in wanted]
    assert [[bits(value) for value in column] for column in RowBlock(codec, rows).values()] == expected
    for place, row in enumerate(rows):
        decoded = EntityCodec([codec]).decode([row])
        assert tuple(decoded[1]) == tuple(wanted)
        assert [bits(value) for value in decoded[1].values()] == [column[place] for column in expected]


def test_the_layout_is_the_documented_one():
    schema = Schema.of([("f", "float64"), ("i", "int64"), ("s", "string"), ("b", "bool"), ("t", "string")])
    batch = batch_of(schema, [[1.5], [None], ["é"], [True], ["xyz"]], 1)
    (row,) = RowCodec(schema).encode(batch, 10, 3)
    assert len(set(row[LAYOUT])) > 1
    fixed = struct.pack("<qi4sQdqQqQ", 10, 3, row[LAYOUT], 0b10, 1.5, 0, 64 | 2 << 32, 1, 66 | 3 << 32)
    assert row == fixed + "éxyz".encode()


def test_sliced_and_foreign_columns_are_read_as_the_schema_says():
    schema = Schema.of([("s", "string"), ("i", "int64")])
    strings = pa.array(["a", None, "bc", "a"]).dictionary_encode()
    whole = pa.record_batch([strings, pa.array([1, 2, None, 4], pa.int32())], names=["s", "i"])
    codec = RowCodec(schema)
    assert RowBlock(codec, codec.encode(whole.slice(1, 2), 0, 0)).values() == [[None, "bc"], [2, None]]


def test_an_instant_that_python_cannot_hold_is_refused_when_it_is_written():
    for type_, array in (
        ("timestamp", pa.array([2**62], pa.int64()).cast(pa.timestamp("us", tz="UTC"))),
        ("date", pa.array([2**30], pa.int32()).cast(pa.date32())),
    ):
        with pytest.raises(DataError, match="seen"):
            RowCodec(Schema.of([("seen", type_)])).encode(pa.record_batch([array], names=["seen"]), 0, 0)


def test_the_ends_of_the_calendar_are_held():
    schema = Schema.of([("t", "timestamp"), ("d", "date")])
    ends = [[datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)], [date.min, date.max]]
    codec = RowCodec(schema)
    assert RowBlock(codec, codec.encode(batch_of(schema, ends, 2), 0, 0)).values() == ends


@settings(deadline=None, max_examples=50)
@given(st.lists(tables(), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_rows_of_several_views_are_decoded_as_one(cases, random):
    codecs, found, expected = [], [], []
    for view, (schema, columns, count) in enumerate(cases):
        wanted = {field.name for field in schema if random.random() < 0.7}
        zeros = {name for name in wanted if random.random() < 0.5 and schema.type_of(name) is DataType.INT64}
        # Features of one name in several views don't meet in one read; here each view has names of its own.
        own = Schema.of((f"v{view}_{field.name}", field.type) for field in schema)
        batch = batch_of(own, columns, count)
        codecs.append(
            RowCodec(own, wanted={f"v{view}_{name}" for name in wanted}, zeros={f"v{view}_{n}" for n in zeros})
        )
        if random.random() < 0.3:
            found.append(None)
            expected += [0 if field.name in zeros else None for field in schema if field.name in wanted]
        else:
            place = random.randrange(count)
            found.append(RowCodec(own).encode(batch, view, 7)[place])
            pairs = zip(schema, columns, strict=True)
            expected += [bits(column[place]) for field, column in pairs if field.name in wanted]
    decoded = EntityCodec(codecs).decode(found)
    heads, values = decoded
    assert list(heads[::HEAD_FIELDS]) == [NO_BOUNDARY if row is None else view for view, row in enumerate(found)]
    assert list(heads[1::HEAD_FIELDS]) == [NO_VERSION if row is None else 7 for row in found]
    assert [bits(value) for value in values.values()] == expected


def test_a_row_of_another_layout_is_never_decoded():
    one, other = Schema.of([("a", "int64"), ("b", "float64")]), Schema.of([("b", "float64"), ("a", "int64")])
    longer = Schema.of([("a", "int64"), ("b", "float64"), ("c", "string")])
    rows = {schema: RowCodec(schema).encode(batch_of(schema, columns, 1), 1, 2)[0] for schema, columns in (
        (one, [[1], [2.0]]), (other, [[2.0], [1]]), (longer, [[1], [2.0], ["x"]]))}  # fmt: skip
    for schema in rows:
        for found, row in rows.items():
            for codecs, pair in (((schema, one), (row, rows[one])), ((one, schema), (rows[one], row))):
                codec = EntityCodec([RowCodec(each) for each in codecs])
                if found is schema:
                    assert len(codec.decode(pair)[0]) == 2 * HEAD_FIELDS
                else:
                    with pytest.raises(UnknownLayoutError):
                        codec.decode(pair)
