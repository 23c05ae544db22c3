"""Cells to values: every form of a number and an instant that people write, and the reason for each that is none."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inseam.kernel.types import DataType
from inseam.stages.ingest.cells import Cells
from inseam.stages.ingest.finding import Findings
from inseam.stages.ingest.notation import Notation
from inseam.stages.ingest.types import read_as, seen

ISO = Notation()


def cast(values: list[Any], type_: str, rule: Notation = ISO, arrow: pa.DataType | None = None) -> Any:
    array, faults = read_as(pa.array(values, arrow or pa.string()), DataType(type_), rule)
    assert len(array) == len(values)
    return array.to_pylist(), faults


@pytest.mark.parametrize("spoiler", [None, "x"])
def test_integers(spoiler: str | None) -> None:
    texts = [
        "1",
        "-2",
        "+3",
        " 4 ",
        "17850.0",
        "1,234",
        "-1,234,567",
        "9223372036854775807",
        "",
        "NA",
        "nan",
        None,
        "007",
    ]
    values, faults = cast([*texts, spoiler], "int64")
    expected = [1, -2, 3, 4, 17850, 1234, -1234567, 9223372036854775807, None, None, None, None, 7, None]
    assert values == expected
    assert faults == ({} if spoiler is None else {13: "is not int64"})


@pytest.mark.parametrize("text", ["1.5", "0x10", "1e3", "12,5", "1,23,4", f"{2**63}", "1_000", "٣", "--1", "-"])
def test_what_is_no_integer(text: str) -> None:
    assert cast(["1", text], "int64")[1].keys() == {1}


@pytest.mark.parametrize("spoiler", [None, "x"])
def test_floats(spoiler: str | None) -> None:
    texts = ["1", "-2.5", "+3.25", " 4 ", "1e3", ".5", "5.", "1,234.50", "-1,234,567.25", "", "NULL", "NaN", None]
    values, faults = cast([*texts, spoiler], "float64")
    assert values[:9] == [1.0, -2.5, 3.25, 4.0, 1000.0, 0.5, 5.0, 1234.5, -1234567.25]
    assert values[9:] == [None] * 5
    assert faults == ({} if spoiler is None else {13: "is not float64"})


@pytest.mark.parametrize("text", ["12,5x", "12,5", "1,2345.0", "1_0", "0x1p3", "1.2.3", "£5"])
def test_what_is_no_float(text: str) -> None:
    assert cast(["1", text], "float64")[1] == {1: "is not float64"}


@pytest.mark.parametrize("text", ["inf", "-inf", "Infinity", "1e999"])
def test_infinity_is_no_value(text: str) -> None:
    values, faults = cast(["1", text], "float64")
    assert (values, faults) == ([1.0, None], {1: "is infinite, not float64"})
    values, faults = cast([1.0, float(text), float("nan")], "float64", arrow=pa.float64())
    assert (values, list(faults)) == ([1.0, None, None], [1])


def test_bools() -> None:
    values, faults = cast(["true", "No", "T", "0", "", "maybe", None], "bool")
    assert values == [True, False, True, False, None, None, None]
    assert faults == {5: "is not bool"}


def test_typed_columns_become_the_declared_type() -> None:
    assert cast([1, 2], "float64", arrow=pa.int32())[0] == [1.0, 2.0]
    assert cast([1.0, 2.5, None], "int64", arrow=pa.float64()) == ([1, None, None], {1: "is not int64"})
    assert cast([1, None], "string", arrow=pa.int64())[0] == ["1", None]
    assert cast([2**64 - 1, 1], "int64", arrow=pa.uint64())[1].keys() == {0}
    assert cast([date(2024, 2, 29)], "timestamp", arrow=pa.date32())[0] == [datetime(2024, 2, 29, tzinfo=UTC)]


def test_iso_instants_in_all_their_forms_at_once() -> None:
    texts = [
        "2024-02-29",
        "2024-02-29 12:30",
        "2024-02-29T12:30:01.5",
        "2024-02-29T12:30:01Z",
        "2024-02-29 12:30:01+02:00",
        "2024-02-29T12:30:01.123456789",
        "20240229",
        " 2024-02-29 ",
        "",
        None,
    ]
    values, faults = cast(texts, "timestamp")
    day = datetime(2024, 2, 29, tzinfo=UTC)
    assert faults == {}
    assert values == [
        day,
        day.replace(hour=12, minute=30),
        day.replace(hour=12, minute=30, second=1, microsecond=500_000),
        day.replace(hour=12, minute=30, second=1),
        day.replace(hour=10, minute=30, second=1),
        day.replace(hour=12, minute=30, second=1, microsecond=123_456),
        day,
        day,
        None,
        None,
    ]


def test_day_or_month_first_is_never_guessed() -> None:
    _, faults = cast(["2024-01-02", "03/04/2024", "13.04.2024 10:00", "17850", "2024-02-30", "now"], "timestamp")
    assert faults.keys() == {1, 2, 3, 4, 5}
    assert "day or month may come first; declare timestamp_formats" in faults[1]
    assert "ISO 8601" in faults[3]


def test_declared_formats_are_tried_in_their_order_then_iso() -> None:
    rule = Notation(formats=("%d/%m/%Y", "%m/%d/%Y", "%d/%m/%Y %H:%M"))
    texts = ["03/04/2024", "04/13/2024", "31/02/2024", "1/2/2024 09:30", "2024-05-06", "2024-05-06T00:00:00Z", "x"]
    values, faults = cast(texts, "timestamp", rule)
    found = [None if value is None else value.strftime("%m-%d %H:%M") for value in values]
    assert found == ["04-03 00:00", "04-13 00:00", None, "02-01 09:30", "05-06 00:00", "05-06 00:00", None]
    assert faults.keys() == {2, 6}
    assert "%d/%m/%Y" in faults[6]


def test_formats_beyond_arrows() -> None:
    rule = Notation(formats=("%d %b %Y %I:%M %p", "%Y%m%d%z"), timezone="Europe/Berlin")
    values, faults = cast(["5 Feb 2024 01:30 PM", "20240205+0000", "2024-02-05"], "timestamp", rule)
    assert faults == {}
    hours = [value.strftime("%d %H:%M") for value in values]
    assert hours == ["05 12:30", "05 00:00", "04 23:00"]


def test_local_times_that_a_clock_change_doubles_or_skips() -> None:
    texts = ["2024-03-31 01:59:59", "2024-03-31 02:30:00", "2024-10-27 02:30:00", "2024-10-27 03:00:00"]
    values, faults = cast(texts, "timestamp", Notation("Europe/Berlin"))
    assert [value and value.strftime("%H:%M:%S") for value in values] == ["00:59:59", None, None, "02:00:00"]
    assert "never (impossible)" in faults[1]
    assert "twice (ambiguous)" in faults[2]
    for side, hours in (("earliest", ["00:59", "00:30"]), ("latest", ["01:00", "01:30"])):
        values, faults = cast(texts, "timestamp", Notation("Europe/Berlin", side))
        assert faults == {}
        assert [value.strftime("%H:%M") for value in values[1:3]] == hours
    assert cast(["2024-10-27T02:30:00+01:00"], "timestamp", Notation("Europe/Berlin"))[1] == {}


def test_dates() -> None:
    values, faults = cast(["2024-02-29", "2024-02-29T00:00:00", "2024-02-29 10:00", "1/2/2024", ""], "date")
    assert values == [date(2024, 2, 29), date(2024, 2, 29), None, None, None]
    assert faults.keys() == {2, 3}


def inferred(**columns: list[str | None]) -> dict[str, str]:
    """Types as found over two blocks, so that the second may widen what the first one found."""
    rows = len(next(iter(columns.values())))
    blocks = []
    for part in (slice(0, rows // 2), slice(rows // 2, rows)):
        arrays = {name: pa.array(values[part], pa.string()) for name, values in columns.items()}
        lines = pa.array(range(len(next(iter(arrays.values())))), pa.int64())
        blocks.append(Cells(arrays, lines, is_text=True))
    return {field.name: field.type.value for field in seen(blocks, "at", ISO).schema(Findings())}


def test_the_narrowest_type_that_holds_every_cell() -> None:
    found = inferred(
        at=["2024-01-01", "x"],
        a=["1", "2"],
        b=["1", "2.5"],
        c=["1,234.50", "3"],
        d=["true", "FALSE"],
        e=["2024-01-01", "2024-01-02"],
        f=["2024-01-01", "2024-01-02 10:00"],
        g=["007", "1"],
        h=["1", "x"],
        i=["true", "1"],
        j=[None, None],
        k=[None, "3"],
        m=["1", "nan"],
        n=["17850.0", "1"],
        o=["yes", "no"],
    )
    assert found == {
        "at": "timestamp",
        "a": "int64",
        "b": "float64",
        "c": "float64",
        "d": "bool",
        "e": "date",
        "f": "timestamp",
        "g": "string",
        "h": "string",
        "i": "string",
        "j": "string",
        "k": "int64",
        "m": "int64",
        "n": "float64",
        "o": "string",
    }


@pytest.mark.parametrize(
    "cells",
    [
        ["9223372036854775808", "1"],
        ["1", "-9223372036854775809"],
        ["12,345,678,901,234,567,890", "1"],
        ["9007199254740993", "1.5"],
        ["1.5", "9007199254740993"],
    ],
)
def test_integers_keep_every_digit(cells: list[str | None]) -> None:
    assert inferred(n=cells) == {"n": "string"}


def test_long_integers_that_a_number_holds_are_numbers() -> None:
    assert inferred(n=["9223372036854775807", "-9007199254740993"]) == {"n": "int64"}
    assert inferred(n=["9007199254740992.5", "1e20"]) == {"n": "float64"}


@pytest.mark.parametrize(
    ("column", "type_"),
    [
        (pa.array([2**63], pa.uint64()), "string"),
        (pa.array([2**63 - 1], pa.uint64()), "int64"),
        (pa.array([Decimal(10**30)], pa.decimal128(38, 0)), "string"),
        (pa.array([Decimal(7)], pa.decimal128(38, 0)), "int64"),
        (pa.array([Decimal("7.25")], pa.decimal128(38, 2)), "float64"),
    ],
)
def test_typed_columns_of_whole_numbers_keep_every_digit(column: pa.Array, type_: str) -> None:
    cells = Cells({"n": column}, pa.array([1]), is_text=False)

    (field,) = seen([cells], "at", ISO).schema(Findings())

    assert field.type.value == type_
    values, faults = read_as(column, field.type, ISO)
    assert not faults
    assert str(values[0].as_py()).rstrip("0") == str(column[0].as_py()).rstrip("0")


def test_typed_integers_beside_floats_keep_every_digit() -> None:
    blocks = [Cells({"n": column}, pa.array([1]), is_text=False) for column in (pa.array([2**53 + 1]), pa.array([1.5]))]
    findings = Findings()

    (field,) = seen(blocks, "at", ISO).schema(findings)

    assert field.type.value == "string"
    assert "n: it has integers of more digits" in findings.found["columns.digits"]["examples"][0]


CELLS = ["1", "20240101", "2024-01-01", "2024-01-01 10:00", "1.5", "9007199254740993", "true", "x", "007", None]


@given(st.lists(st.lists(st.sampled_from(CELLS), min_size=1, max_size=3), min_size=2, max_size=5), st.integers(1, 4))
@settings(max_examples=300)
@example([["1.5"], ["9007199254740993"], ["2024-01-01"]], 1)
@example([["9007199254740993"], ["1.5"], ["x"]], 1)
def test_what_parts_say_together_is_what_all_blocks_say(blocks: list[list[str | None]], place: int) -> None:
    cells = [Cells({"n": pa.array(one, pa.string())}, pa.array([1] * len(one)), is_text=True) for one in blocks]
    place = min(place, len(cells) - 1)
    whole, head, tail = (seen(part, "at", ISO) for part in (cells, cells[:place], cells[place:]))
    if head.join(tail):
        found, expected = Findings(), Findings()
        assert head.schema(found) == whole.schema(expected)
        assert found.found == expected.found
    else:
        assert any(cell in ("2024-01-01", "2024-01-01 10:00", "20240101") for block in blocks for cell in block)


def test_parts_of_numbers_and_texts_need_no_second_look() -> None:
    parts = [seen([Cells({"n": pa.array([cell])}, pa.array([1]), is_text=True)], "at", ISO) for cell in "1x"]
    assert parts[0].join(parts[1])
    assert [field.type.value for field in parts[0].schema(Findings())] == ["string"]
