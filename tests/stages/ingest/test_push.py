"""What is pushed is read strictly: a row that is not what the source promises is named, with its column."""

from __future__ import annotations

from typing import Any

import pytest

from inseam.ir.checks import CheckKind, CheckSpec, Severity, SourceSpec
from inseam.ir.stream_row import StreamRowCodec
from inseam.kernel.clock import parse_instant
from inseam.kernel.errors import DataError
from inseam.kernel.types import Schema
from inseam.ports.stream_log import Push
from inseam.stages.ingest.push import Intake

COLUMNS = Schema.of(
    (("at", "timestamp"), ("order", "int64"), ("amount", "float64"), ("store", "string"), ("day", "date"))
)
POSITIVE = CheckSpec("positive", CheckKind.EXPRESSION, Severity.ERROR, expression="amount >= 0")
KNOWN = CheckSpec("known", CheckKind.ONE_OF, Severity.ERROR, columns=("store",), arguments=("a", "b"))
SMALL = CheckSpec("small", CheckKind.BETWEEN, Severity.WARN, columns=("amount",), arguments=(None, 10))


@pytest.fixture
def reader(place: Any) -> Any:
    def make(**changes: Any) -> Intake:
        given: dict[str, Any] = {"name": "s", "timestamp": "at", "key": ("order",)}
        return Intake(SourceSpec(**(given | changes)), COLUMNS, lambda: place.engine)

    return make


def cells(pushes: list[Push]) -> list[tuple[Any, ...]]:
    return [StreamRowCodec(COLUMNS).decode(push.payload) for push in pushes]


def test_an_object_an_array_and_lines_are_the_same_rows(reader: Any) -> None:
    one = (
        b'{"_id": "x", "at": "2024-01-01T00:00:00.5+01:00", "order": 1, "amount": 2, "store": "a", "day": "2024-02-29"}'
    )
    two = b'{"at": "2024-01-01", "order": -9223372036854775808, "_id": "y", "amount": null}'
    two = two.replace(b"2024-01-01", b"2024-01-01T00:00:00Z")
    intake = reader()
    array = intake.json(b"[" + one + b",\n" + two + b"]")
    assert array == intake.lines(b"\n" + one + b"\r\n \n" + two) == intake.json(one) + intake.json(two)
    assert [push.id for push in array] == [b"x", b"y"]
    assert cells(array) == [
        (parse_instant("2023-12-31T23:00:00.5Z"), 1, 2.0, "a", 19_782),
        (parse_instant("2024-01-01T00:00:00Z"), -(2**63), None, None, None),
    ]
    assert intake.json(b"[]") == intake.lines(b"") == []


def test_a_key_names_rows_by_their_places(reader: Any) -> None:
    rows = b'[{"at": "2024-01-01T00:00:00Z", "order": 1}, {"at": "2024-01-01T00:00:00Z", "order": 2, "_id": "own"}]'
    assert [push.id for push in reader().json(rows, "k")] == [b"k:0", b"own"]
    with pytest.raises(DataError, match=r"row 0: it has no id"):
        reader().json(rows)


def test_texts_of_values_are_read_where_they_may_be_such(reader: Any) -> None:
    row = {"at": "2024-01-01T00:00:00Z", "order": "12", "amount": "1.5", "store": "12", "day": "2024-01-01"}
    (push,) = reader().records([row], "k", first=7)
    assert push.id == b"k:7"
    assert cells([push])[0][1:] == (12, 1.5, "12", 19_723)
    with pytest.raises(DataError, match=r"row 8, order: "):
        reader().records([row, row | {"order": "many"}], "k", first=7)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ('{"at": "2024-01-01T00:00:00Z", "order": "1"}', r"row 1, order: Expected `int`, got `str`"),
        ('{"at": "2024-01-01T00:00:00Z", "order": 9223372036854775808}', r"row 1, order: Expected `int` <="),
        ('{"at": "2024-01-01T00:00:00Z", "order": 1, "amount": "1"}', r"row 1, amount: Expected `float \| null`"),
        ('{"at": "yesterday", "order": 1}', r"row 1, at: Invalid RFC3339 encoded datetime"),
        ('{"at": null, "order": 1}', r"row 1, at: Expected `datetime`, got `null`"),
        ('{"at": "2024-01-01T00:00:00Z"}', r"row 1: Object missing required field `order`"),
        ('{"at": "2024-01-01T00:00:00Z", "order": 1, "amonut": 1}', r"row 1: Object contains unknown field `amonut`"),
        ('{"at": "2024-01-01T00:00:00Z", "order": 1, "_id": ""}', r"row 1, _id: "),
        ("7", r"row 1: Expected `object`, got `int`"),
        ("{", r"JSON is malformed|truncated"),
    ],
)
def test_the_first_row_that_is_wrong_is_named_with_its_column(reader: Any, row: str, told: str) -> None:
    good = '{"at": "2024-01-01T00:00:00Z", "order": 1}'
    with pytest.raises(DataError, match=told):
        reader().json(f"[{good}, {row}]".encode(), "k")
    with pytest.raises(DataError, match=told):
        reader().lines(f"{good}\n{row}".encode(), "k")


def test_rows_that_break_checks_are_named_all_and_warnings_pass(reader: Any) -> None:
    intake = reader(checks=(POSITIVE, KNOWN, SMALL))
    rows = [
        {"at": "2024-01-01T00:00:00Z", "order": place, "amount": amount, "store": store}
        for place, (amount, store) in enumerate([(1.0, "a"), (-1.0, "a"), (None, None), (99.0, "b"), (-2.0, "c")])
    ]
    with pytest.raises(DataError) as raised:
        intake.records(rows, "k")
    assert [problem.found for problem in raised.value.problems] == [
        "row 1: check positive: amount >= 0 does not hold for amount = -1.0",
        "row 4: check positive: amount >= 0 does not hold for amount = -2.0",
    ]
    assert len(intake.records([rows[0], rows[2], rows[3]], "k")) == 3


def test_columns_have_the_names_of_the_files(reader: Any) -> None:
    intake = reader(rename=(("Order No", "order"), ("order", "store")))
    (push,) = intake.json(b'{"at": "2024-01-01T00:00:00Z", "Order No": 5, "order": "a"}', "k")
    assert cells([push])[0][1:] == (5, None, "a", None)


def test_instants_without_an_offset_are_local(reader: Any) -> None:
    intake = reader(timezone="Europe/Berlin")
    (push,) = intake.json(b'{"at": "2024-07-01T12:00:00", "order": 1}', "k")
    assert cells([push])[0][0] == parse_instant("2024-07-01T10:00:00Z")
    with pytest.raises(DataError, match=r"row 0, at: 2024-10-27T02:30:00 is "):
        intake.json(b'{"at": "2024-10-27T02:30:00", "order": 1}', "k")
    assert cells(reader().json(b'{"at": "2024-07-01T12:00:00", "order": 1}', "k"))[0][0] == parse_instant(
        "2024-07-01T12:00Z"
    )
