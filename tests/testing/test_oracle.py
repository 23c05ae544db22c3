"""The oracle against values worked out by hand."""

from typing import Any

import pytest

from inseam.kernel.clock import DAY, HOUR, parse_instant
from inseam.testing.oracle import Question, boundary, corrected, snapshots, value


def row(ts: str, amount: float | None = 1.0, known: str | None = None, seq: int = 0) -> dict[str, Any]:
    return {
        "ts": parse_instant(ts),
        "known": None if known is None else parse_instant(known),
        "seq": seq,
        "amount": amount,
    }


ROWS = [
    row("2024-03-01T00:00", 1.0, seq=1),
    row("2024-03-02T00:00", 2.0, seq=3),
    row("2024-03-02T00:00", 3.0, seq=2),
    row("2024-03-02T12:00", None, known="2024-03-04T00:00", seq=4),
]


@pytest.mark.parametrize(
    ("question", "t", "expected"),
    [
        (Question("count"), "2024-03-02T00:00", 1),  # the boundary's own instant is the future
        (Question("count"), "2024-03-02T00:00:00.000001", 3),
        (Question("count"), "2024-03-03T00:00", 3),  # the late row is not known yet
        (Question("count"), "2024-03-04T00:00", 4),
        (Question("count", "amount"), "2024-03-04T00:00", 3),
        (Question("count", every=DAY), "2024-03-03T23:00", 3),
        (Question("count", every=DAY, lag=HOUR), "2024-03-04T00:30", 3),
        (Question("count", every=DAY, lag=HOUR), "2024-03-04T01:00", 4),
        (Question("count", over=DAY), "2024-03-03T00:00", 2),
        (Question("count", over=DAY), "2024-03-03T00:00:00.000001", 0),
        (Question("count", ahead=DAY), "2024-03-02T00:00", 3),
        (Question("count", ahead=DAY), "2024-03-01T00:00", 1),
        (Question("count", where=lambda r: None if r["amount"] is None else r["amount"] > 1), "2024-03-05T00:00", 2),
        (Question("sum", "amount"), "2024-03-01T00:00", None),
        (Question("sum", "amount"), "2024-03-05T00:00", 6.0),
        (Question("mean", "amount"), "2024-03-05T00:00", 2.0),
        (Question("std", "amount"), "2024-03-05T00:00", 1.0),
        (Question("std", "amount"), "2024-03-01T01:00", None),
        (Question("last", "amount"), "2024-03-03T00:00", 2.0),  # of equal instants the one loaded last
        (Question("last", "amount"), "2024-03-05T00:00", None),  # NULL is that row's cell
        (Question("first", "amount", over=2 * DAY), "2024-03-03T12:00", 3.0),
        (Question("quantile", "amount", quantile=0.25), "2024-03-05T00:00", 1.5),
        (Question("distinct", "amount"), "2024-03-05T00:00", 3),
    ],
)
def test_values(question: Question, t: str, expected: Any) -> None:
    assert value(ROWS, question, parse_instant(t)) == expected


def test_a_day_in_berlin_has_23_hours_when_summer_comes() -> None:
    noon = parse_instant("2024-03-31T12:00")
    assert boundary(noon, DAY, "Europe/Berlin", 0) == parse_instant("2024-03-30T23:00")
    assert boundary(noon + DAY, DAY, "Europe/Berlin", 0) == parse_instant("2024-03-31T22:00")


def test_snapshots() -> None:
    rows = [{**ROWS[0], "k": 1}, {**ROWS[1], "k": 2}, {**ROWS[1], "k": None}]
    start, end = parse_instant("2024-03-01"), parse_instant("2024-03-04")
    found = snapshots(rows, ["k"], DAY, None, DAY, start, end)
    assert found == [(parse_instant("2024-03-02"), 1), (parse_instant("2024-03-03"), 2)]


def test_a_corrected_row_counts_until_its_correction_is_known() -> None:
    rows = corrected(
        [
            {**row("2024-03-01T00:00", 1.0, seq=1), "id": 7},
            {**row("2024-03-02T00:00", 2.0, known="2024-03-05T00:00", seq=2), "id": 7},
            {**row("2024-03-01T00:00", 4.0, seq=3), "id": 8},
            {**row("2024-03-06T00:00", 8.0, known="2024-03-06T12:00", seq=4), "id": 8},
            {**row("2024-03-01T00:00", 16.0, known="2024-03-02T00:00", seq=5), "id": None},
        ],
        ("id",),
        lambda found: found["amount"] == 8.0,
    )
    total = Question("sum", "amount")
    told = {day: value(rows, total, parse_instant(f"2024-03-{day}")) for day in ("02", "04", "05", "06", "07")}
    assert told == {"02": 21.0, "04": 21.0, "05": 22.0, "06": 22.0, "07": 18.0}
    patient = Question("sum", "amount", lag=DAY)
    assert value(rows, patient, parse_instant("2024-03-05")) == 22.0  # the boundary of the 4th waits until the 5th
    assert value(rows, Question("sum", "amount", ahead=30 * DAY), parse_instant("2024-03-01")) == 18.0


def test_history_corrects_history_from_its_own_instant() -> None:
    told = [{**row("2024-03-01", 1.0, seq=1), "id": 7}, {**row("2024-03-03", 2.0, seq=2), "id": 7}]
    rows = corrected(told, ("id",), None)
    found = [value(rows, Question("count", "amount"), parse_instant(f"2024-03-0{day}")) for day in (2, 3, 4)]
    assert found == [1, 0, 1]
    assert [value(rows, Question("sum", "amount"), parse_instant(f"2024-03-0{day}")) for day in (2, 4)] == [1.0, 2.0]
