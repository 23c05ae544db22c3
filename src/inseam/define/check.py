"""Checks: what a source promises of its rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from inseam.define.declaration import caller_place, duration, expect, expect_choice, tuple_of
from inseam.ir.checks import CheckKind, CheckSpec, Severity
from inseam.kernel.errors import DefinitionError


def check(expression: str, *, severity: str = "error", name: str | None = None) -> CheckSpec:
    """Rows for which a SQL expression is false break the check (NULL passes).

    >>> check("amount >= 0", severity="warn").name
    'amount >= 0'
    """
    expect(expression, str, "check", "the expression")
    return CheckSpec(name or expression, CheckKind.EXPRESSION, _severity(severity), expression=expression)


def not_null(*columns: str, severity: str = "error") -> CheckSpec:
    """Every one of these columns has a value in each row.

    >>> not_null("customer_id", "amount").name
    'not_null(customer_id, amount)'
    """
    return _of_columns(CheckKind.NOT_NULL, columns, severity)


def unique(*columns: str, severity: str = "error") -> CheckSpec:
    """No two rows share these columns' values; the first one loaded stays.

    >>> unique("order_id", "line").columns
    ('order_id', 'line')
    """
    return _of_columns(CheckKind.UNIQUE, columns, severity)


def one_of(column: str, values: Iterable[Any], *, severity: str = "error") -> CheckSpec:
    """The value is one of these; NULL passes.

    >>> one_of("size", ["S", "M", "L"]).arguments
    ('S', 'M', 'L')
    """
    return CheckSpec(
        f"one_of({column})", CheckKind.ONE_OF, _severity(severity), columns=(column,), arguments=tuple(values)
    )


def between(column: str, low: float | None, high: float | None, *, severity: str = "error") -> CheckSpec:
    """The value lies in ``[low, high]``; None leaves a side open. NULL passes.

    >>> between("discount", 0, 1).arguments
    (0, 1)
    """
    return CheckSpec(
        f"between({column})", CheckKind.BETWEEN, _severity(severity), columns=(column,), arguments=(low, high)
    )


def fresh(within: str, *, severity: str = "warn") -> CheckSpec:
    """The newest row of a load is at most this old.

    >>> fresh("1d").severity.value
    'warn'
    """
    age = duration(within)
    if age is None:
        raise DefinitionError(
            f"fresh({within!r})", "this is no duration", expected="such as 1d or 12h", place=caller_place()
        )
    return CheckSpec(f"fresh({within})", CheckKind.FRESH, _severity(severity), arguments=(age,))


def row_count(least: int | None = None, most: int | None = None, *, severity: str = "error") -> CheckSpec:
    """A load brings at least and at most so many rows; None leaves a side open.

    >>> row_count(least=1).arguments
    (1, None)
    """
    return CheckSpec("row_count", CheckKind.ROW_COUNT, _severity(severity), arguments=(least, most))


def checks_of(value: Any) -> tuple[CheckSpec, ...]:
    """Checks as users write them: SQL texts stand for `check`."""
    made = tuple(check(item) if isinstance(item, str) else item for item in tuple_of(value))
    for item in made:
        expect(item, CheckSpec, "checks", "a check")
    return made


def _of_columns(kind: CheckKind, columns: tuple[str, ...], severity: str) -> CheckSpec:
    for column in columns:
        expect(column, str, kind.value, "a column")
    if not columns:
        raise DefinitionError(kind.value, "no column is named", expected="one or several", place=caller_place())
    return CheckSpec(f"{kind.value}({', '.join(columns)})", kind, _severity(severity), columns=columns)


def _severity(text: str) -> Severity:
    expect_choice(text, tuple(s.value for s in Severity), "check", "severity")
    return Severity(text)
