"""Keys: one request and an Arrow batch give the same bytes, and no two keys share them."""

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inseam.ir.online_key import MAX_KEY, NO_KEY, KeyCodec
from inseam.kernel.errors import DataError, DefinitionError
from inseam.kernel.types import DataType, Schema

VALUES = {
    DataType.INT64: st.integers(-(2**63), 2**63 - 1),
    DataType.BOOL: st.booleans(),
    DataType.DATE: st.dates(),
    DataType.TIMESTAMP: st.datetimes(timezones=st.just(UTC)),
    DataType.STRING: st.one_of(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
        st.sampled_from(["", "\x00", "a" * 300, "é" * 255, "é" * 256, "x" * 505, "x" * 509, "x" * 510, "x" * 70_000]),
    ),
}


@st.composite
def keyed(draw):
    types = draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=4))
    rows = draw(st.lists(st.tuples(*(VALUES[type_] for type_ in types)), min_size=1, max_size=8, unique=True))
    return Schema.of((f"k{place}", type_) for place, type_ in enumerate(types)), rows


def batch_of(schema, rows):
    columns = [
        pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), schema.to_arrow(), strict=True)
    ]
    return pa.record_batch(columns, schema.to_arrow())


@settings(deadline=None)
@given(keyed())
def test_one_many_and_batch_agree_and_keys_are_unique_and_bounded(case):
    schema, rows = case
    codec = KeyCodec(schema)
    keys = codec.batch(batch_of(schema, rows))
    assert keys == [codec.one(row) for row in rows] == codec.many(rows)
    assert len(set(keys)) == len(rows)
    assert all(0 < len(key) <= MAX_KEY and key != NO_KEY for key in keys)


def test_neighbouring_strings_do_not_run_together():
    codec = KeyCodec(Schema.of([("a", "string"), ("b", "string")]))
    pairs = [("ab", "c"), ("a", "bc"), ("", "abc"), ("abc", ""), ("a" * 400, "a" * 401), ("a" * 401, "a" * 400)]
    assert len({codec.one(pair) for pair in pairs}) == len(pairs)


def test_a_short_key_cannot_pose_as_the_digest_of_a_long_one():
    codec = KeyCodec(Schema.of([("a", "string")]))
    long = codec.one(("x" * 600,))
    assert len(long) == 33
    assert codec.one((long[1:].decode("latin1"),)) != long


def test_a_null_in_a_key_is_no_key():
    single, pair = KeyCodec(Schema.of([("a", "int64")])), KeyCodec(Schema.of([("a", "int64"), ("b", "string")]))
    assert single.one((None,)) == NO_KEY
    assert single.many([(1,), (None,)])[1] == NO_KEY
    assert pair.one((1, None)) == NO_KEY


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("int64", "7"),
        ("int64", 7.0),
        ("int64", 2**63),
        ("bool", 1),
        ("date", "2024-01-01"),
        ("date", datetime(2024, 1, 1, tzinfo=UTC)),
        ("timestamp", datetime(2024, 1, 1)),  # noqa: DTZ001
        ("timestamp", date(2024, 1, 1)),
        ("timestamp", 1.5),
        ("string", 7),
        ("string", "\ud800"),
    ],
)
def test_a_value_of_another_type_is_named(type_, value):
    codec = KeyCodec(Schema.of([("customer_id", type_)]))
    for ask in (lambda: codec.one((value,)), lambda: codec.many([(value,)])):
        with pytest.raises(DataError, match="customer_id") as caught:
            ask()
        assert caught.value.problems[0].expected == type_


@pytest.mark.parametrize("entity", [(1,), (1, 2, 3), "ab", 7])
def test_an_entity_of_another_shape_names_the_fields(entity):
    with pytest.raises(DataError) as caught:
        KeyCodec(Schema.of([("a", "int64"), ("b", "int64")])).one(entity)
    assert "a, b" in caught.value.problems[0].expected


def test_instants_may_come_as_integers():
    codec = KeyCodec(Schema.of([("d", "date"), ("t", "timestamp")]))
    moment = datetime(2024, 2, 29, 1, tzinfo=UTC)
    days, ticks = moment.toordinal() - 719_163, int(moment.timestamp()) * 1_000_000
    assert codec.one((moment.date(), moment)) == codec.one((days, ticks))


def test_floats_are_no_keys():
    with pytest.raises(DefinitionError, match="price"):
        KeyCodec(Schema.of([("price", "float64")]))
