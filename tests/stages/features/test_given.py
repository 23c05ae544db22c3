"""What examples give, typed: nothing is rounded, guessed or lost on the way."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from inseam.ir.relation import INGESTED_AT, SEQUENCE
from inseam.kernel.errors import DataError
from inseam.kernel.types import DataType, Field, Schema
from inseam.stages.features.given import given_table, inferred, is_same, typed

SCHEMA = Schema.of((("id", "int64"), ("at", "timestamp"), ("amount", "float64"), ("due", "date"), ("paid", "bool")))


def test_rows_have_the_types_of_the_source_and_their_order() -> None:
    table = given_table(
        [
            {"id": 1, "at": "2024-05-01T02:00:00+02:00", "amount": 2, "due": "2024-05-02", "paid": True},
            {"id": 2, "at": datetime(2024, 5, 1, tzinfo=UTC), INGESTED_AT: "2024-06-01"},
        ],
        SCHEMA,
        "example:x",
    )
    assert table.schema.names == [*SCHEMA.names, INGESTED_AT, SEQUENCE]
    first, second = table.to_pylist()
    assert first["at"] == second["at"] == datetime(2024, 5, 1, tzinfo=UTC)
    assert (first["amount"], first["due"], first["paid"], first[INGESTED_AT]) == (2.0, date(2024, 5, 2), True, None)
    assert (second["amount"], second[INGESTED_AT]) == (None, datetime(2024, 6, 1, tzinfo=UTC))
    assert first[SEQUENCE] < second[SEQUENCE]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"amuont": 1.0}, "did you mean 'amount'?"),
        ({"id": 1.5}, "'id' is 1.5"),
        ({"id": True}, "'id' is True"),
        ({"amount": "2"}, "'amount' is '2'"),
        ({"at": 20240501}, "'at' is 20240501"),
        ({"due": "tomorrow"}, "'due' is 'tomorrow'"),
        ({"paid": 1}, "'paid' is 1"),
    ],
)
def test_a_value_that_does_not_fit_is_told(row: dict[str, object], said: str) -> None:
    with pytest.raises(DataError, match=said.replace("?", "[?]")) as raised:
        given_table([{}, row], SCHEMA, "example:x")
    assert "row 1" in str(raised.value)


def test_columns_are_inferred_from_all_rows() -> None:
    rows = [{"at": "2024-05-01", "n": 1, "x": None, "s": "a"}, {"n": 1.5, "b": True, "d": date(2024, 5, 1)}]
    found = {field.name: field.type for field in inferred(rows, "at")}
    assert found == {
        "at": DataType.TIMESTAMP,
        "n": DataType.FLOAT64,
        "x": DataType.FLOAT64,
        "s": DataType.STRING,
        "b": DataType.BOOL,
        "d": DataType.DATE,
    }


def test_null_equals_nothing_but_null() -> None:
    amount = Field("amount", DataType.FLOAT64)
    assert typed(float("nan"), amount, "expect", "x") is None
    assert is_same(None, None)
    assert not is_same(0.0, None)
    assert not is_same(None, 0.0)
    assert is_same(0.1 + 0.2, 0.3)
    assert not is_same(0.3, 0.300001)
