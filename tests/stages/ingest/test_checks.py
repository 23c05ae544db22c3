"""Checks of rows, of keys and of loads."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from inseam.ir.checks import CheckKind, CheckSpec, Severity
from inseam.kernel.clock import DAY, from_datetime, frozen_at
from inseam.kernel.errors import DefinitionError, RefusedError

COLUMNS = "at:timestamp amount:float64 item:string n:int64"
ROWS = "at,amount,item,n\n2024-01-01,1,x,1\n2024-01-02,-1,y,2\n2024-01-03,,z,3\n2024-01-04,5,,4\n"


def check(kind: str, severity: str = "error", name: str = "c", **given: Any) -> CheckSpec:
    return CheckSpec(name, CheckKind(kind), Severity(severity), **given)


@pytest.mark.parametrize(
    ("spec", "lines", "reason"),
    [
        (check("expression", expression="amount >= 0"), [3], "check c: amount >= 0 does not hold for amount = -1.0"),
        (check("not_null", columns=("amount", "item")), [4, 5], "check c: not null does not hold for amount = NULL"),
        (check("one_of", columns=("item",), arguments=("x", "y")), [4], "item = 'z'"),
        (check("between", columns=("amount",), arguments=(0, 3)), [3, 5], "between 0 and 3"),
        (check("between", columns=("n",), arguments=(None, 2.5)), [4, 5], "between any and 2.5"),
        (check("between", columns=("at",), arguments=("2024-01-02", None)), [2], "between 2024-01-02 and any"),
    ],
)
def test_rows_that_break_a_check_go_to_quarantine_or_are_counted(
    place: Any, spec: CheckSpec, lines: list[int], reason: str
) -> None:
    place.write("a.csv", ROWS)
    place.load(columns=COLUMNS, checks=(spec,))
    assert [row["line"] for row in place.quarantine()] == lines
    assert {row["check"] for row in place.quarantine()} == {"c"}
    assert any(reason in row["reason"] for row in place.quarantine())
    warning = CheckSpec("c", spec.kind, Severity.WARN, spec.expression, spec.columns, spec.arguments)
    load = place.load(name="warned", columns=COLUMNS, checks=(warning,))
    assert load.rows_quarantined == 0
    found = load.findings["c"]
    assert (found["kind"], found["severity"], found["broken"]) == (spec.kind.value, "warn", len(lines))
    assert any(reason in example for example in found["examples"])


def test_a_row_is_judged_once(place: Any) -> None:
    place.write("a.csv", ROWS)
    checks = (
        check("expression", name="first", expression="amount >= 0"),
        check("expression", name="second", expression="amount >= -5 and n < 2"),
    )
    load = place.load(columns=COLUMNS, checks=checks)
    assert (load.rows_accepted, load.rows_quarantined) == (1, 3)
    assert [row["check"] for row in place.quarantine()] == ["first", "second", "second"]


def test_examples_are_five(place: Any) -> None:
    place.write("a.csv", "at,amount,item,n\n" + "2024-01-01,-1,x,1\n" * 100)
    load = place.load(columns=COLUMNS, checks=(check("expression", "warn", expression="amount >= 0"),))
    assert load.findings["c"]["broken"] == 100
    assert len(load.findings["c"]["examples"]) == 5


def test_a_check_of_an_unknown_column_is_refused(place: Any) -> None:
    place.write("a.csv", ROWS)
    for bad in (check("not_null", columns=("amuont",)), check("expression", expression="amuont > 0")):
        with pytest.raises(DefinitionError, match="amuont"):
            place.ingest(place.spec(columns=COLUMNS, checks=(bad,)))
    assert place.tables.list() == ()


def test_the_first_row_of_a_key_stays(place: Any) -> None:
    place.write("1.csv", "at,n,item\n2024-01-01,1,a\n2024-01-01,2,b\n2024-01-01,1,c\n2024-01-01,,d\n")
    columns = "at:timestamp n:int64 item:string"
    place.load(columns=columns, key=("n",))
    assert place.column("item") == ["a", "b"]
    assert [(row["line"], row["check"]) for row in place.quarantine()] == [(5, None), (4, "key")]
    place.write("2.csv", "at,n,item\n2024-01-02,2,e\n2024-01-02,3,f\n2024-01-02,3,g\n")
    place.load(columns=columns, key=("n",))
    assert place.column("item") == ["a", "b", "f"]
    assert "n = 2, which an earlier row has" in place.quarantine()[-2]["reason"]


def test_a_key_holds_when_the_schema_widens(place: Any) -> None:
    place.write("1.csv", "at,n\n2024-01-01,1\n")
    place.load(columns="at:timestamp n:int64", key=("n",))
    place.write("2.csv", "at,n,item\n2024-01-02,1,a\n2024-01-02,2,b\n")
    place.load(columns="at:timestamp n:int64 item:string", key=("n",))
    assert place.column("item") == [None, "b"]


def test_a_key_of_two_columns_and_many_rows(place: Any) -> None:
    rows = [f"2024-01-01,{n % 30_000},{n % 2}" for n in range(100_000)]
    place.write("a.csv", "at,n,item\n" + "\n".join(rows))
    load = place.load(columns="at:timestamp n:int64 item:string", key=("n", "item"))
    assert load.rows_accepted == len({(n % 30_000, n % 2) for n in range(100_000)})
    assert place.column("_seq") == [(1 << 40) + n for n in range(30_000)]


def test_null_repeats_nothing_in_a_unique_check(place: Any) -> None:
    place.write("a.csv", "at,n\n2024-01-01,\n2024-01-01,\n2024-01-01,1\n2024-01-01,1\n")
    load = place.load(columns="at:timestamp n:int64", checks=(check("unique", columns=("n",)),))
    assert place.column("n") == [None, None, 1]
    assert load.rows_quarantined == 1
    load = place.load(name="w", columns="at:timestamp n:int64", checks=(check("unique", "warn", columns=("n",)),))
    assert (load.rows_accepted, load.findings["c"]["broken"]) == (4, 1)


def test_a_row_in_quarantine_is_no_first_row(place: Any) -> None:
    place.write("a.csv", "at,n,amount\n2024-01-01,1,-1\n2024-01-01,1,1\n")
    checks = (check("expression", expression="amount >= 0"),)
    place.load(columns="at:timestamp n:int64 amount:float64", key=("n",), checks=checks)
    assert place.column("amount") == [1.0]


def test_fresh_and_row_count(place: Any) -> None:
    place.write("a.csv", ROWS)
    checks = (
        check("fresh", "warn", "fresh", arguments=(2 * DAY,)),
        check("row_count", "warn", "few", arguments=(None, 3)),
    )
    with frozen_at(from_datetime(datetime(2024, 1, 10, tzinfo=UTC))):
        load = place.load(columns=COLUMNS, checks=checks)
    assert load.findings["fresh"]["examples"] == ["the newest row is of 2024-01-04T00:00:00Z, more than 2d old"]
    assert load.findings["few"]["examples"] == ["4 rows were accepted, expected 0 to 3"]
    strict = tuple(CheckSpec(c.name, c.kind, Severity.ERROR, arguments=c.arguments) for c in checks)
    with frozen_at(from_datetime(datetime(2024, 1, 10, tzinfo=UTC))), pytest.raises(RefusedError) as refused:
        place.ingest(place.spec(name="strict", columns=COLUMNS, checks=strict))
    assert len(refused.value.problems) == 2
    assert "sources/strict" not in place.tables.list()
    with frozen_at(from_datetime(datetime(2024, 1, 5, tzinfo=UTC))):
        assert place.load(name="fine", columns=COLUMNS, checks=strict[:1]).findings == {}
