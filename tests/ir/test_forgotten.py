"""Forgotten keys are known by their digests, in columns of any type and in lines that could not be read."""

from __future__ import annotations

import secrets
from datetime import date

import pyarrow as pa

from inseam.ir.forgotten import Forgotten, digest_of
from inseam.ir.records import ErasureRecord

SALT = secrets.token_hex(32)


def forgotten(*keys: tuple[str, ...], columns: tuple[str, ...] = ("k",)) -> Forgotten:
    return Forgotten(
        ErasureRecord("thing", digest_of(SALT, key), SALT, dict.fromkeys(columns, "string"), "committed", 1)
        for key in keys
    )


def test_rows_of_a_key_are_found_in_columns_of_any_type() -> None:
    known = forgotten(("7",), ("x'y",), ("2024-02-29",), ("true",))
    for cells, expected in (
        (pa.array([7, None, 8, 7, 70]), [True, False, False, True, False]),
        (pa.array(["7", "x'y", None, "7 "]), [True, True, False, False]),
        (pa.array([date(2024, 2, 29), date(2024, 3, 1)]), [True, False]),
        (pa.array([True, False, None]), [True, False, False]),
    ):
        found = known.rows({"k": cells, "other": cells})
        assert found is not None
        assert found.tolist() == expected
    assert known.rows({"k": pa.array([8, 9])}) is None
    assert known.rows({"other": pa.array([7])}) is None
    assert not Forgotten()
    assert Forgotten().rows({"k": pa.array([7])}) is None


def test_a_key_of_several_columns_is_all_of_them_and_no_other_split_of_the_same_text() -> None:
    known = forgotten(("1", "12"), columns=("a", "b"))
    found = known.rows({"a": pa.array([1, 11, 1, None, 12]), "b": pa.array(["12", "2", "1", "12", "1"])})
    assert found is not None
    assert found.tolist() == [True, False, False, False, False]
    assert known.rows({"a": pa.array([1])}) is None


def test_texts_name_a_key_in_its_columns_or_in_any_word() -> None:
    known = forgotten(("123",))
    assert known.is_named('{"k": 123, "amount": -5}')
    assert known.is_named('{"k": "123 ", "amount": -5}')
    assert known.is_named('{"k": 123.0}')
    assert not known.is_named('{"k": 124, "amount": 123}')
    assert known.is_named('{"id": 123')
    assert known.is_named('2024-01-01,"123",torn')
    assert known.is_named("check amount: amount >= 0 does not hold for k = 123, amount = -5")
    assert not known.is_named("1234,0123")
    assert known.is_told("check amount: amount >= 0 does not hold for k = 123, amount = -5")
    assert not known.is_told("row 123 cannot be read")
    assert forgotten(("zebra",)).is_told("'zebra' cannot be read")
    pair = forgotten(("1", "b"), columns=("x", "y"))
    assert pair.is_named("torn;b;1")
    assert not pair.is_named("torn;b;2")


def test_digests_tell_neither_the_key_nor_that_two_salts_have_the_same() -> None:
    one, other = (digest_of(salt, ["7"]) for salt in (SALT, secrets.token_hex(32)))
    assert one != other
    assert len(one) == 32
