"""Checks: what a source promises of its rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from inseam.define.declaration import duration, tuple_of
from inseam.define.expect import caller_place, expect_arguments, expect_choice
from inseam.ir.checks import CheckKind, CheckSpec, Severity
from inseam.kernel.errors import DefinitionError


def check(expression: str, *, severity: str = "error", name: str | None = None) -> CheckSpec:
    """Rows for which a SQL expression is false break the check (NULL passes).

    >>> check("amount >= 0", severity="warn").name
    'amount >= 0'
    """
    expect_arguments(check, locals())
    return CheckSpec(name or expression, CheckKind.EXPRESSION, _severity(severity), expression=expression)


def not_null(*columns: str, severity: str = "error") -> CheckSpec:
    """Every one of these columns has a value in each row.

    >>> not_null("customer_id", "amount").name
    'not_null(customer_id, amount)'
    """
    for column in columns:
        expect_arguments(not_null, {"columns": column})
    return _of_columns(CheckKind.NOT_NULL, columns, severity)


def unique(*columns: str, severity: str = "error") -> CheckSpec:
    """No two rows share these columns' values; the first one loaded stays.

    >>> unique("order_id", "line").columns
    ('order_id', 'line')
    """
    for column in columns:
        expect_arguments(unique, {"columns": column})
    return _of_columns(CheckKind.UNIQUE, columns, severity)


def one_of(column: str, values: Iterable[Any], *, severity: str = "error") -> CheckSpec:
    """The value is one of these; NULL passes.

    >>> one_of("size", ["S", "M", "L"]).arguments
    ('S', 'M', 'L')
    """
    expect_arguments(one_of, locals())
    if isinstance(values, str):
        raise _wrong("one_of", f"values is the text {values!r}", 'several values: ["a", "b"]')
    return CheckSpec(
        f"one_of({column})", CheckKind.ONE_OF, _severity(severity), columns=(column,), arguments=tuple(values)
    )


def between(column: str, low: float | None, high: float | None, *, severity: str = "error") -> CheckSpec:
    """The value lies in ``[low, high]``; None leaves a side open. NULL passes.

    >>> between("discount", 0, 1).arguments
    (0, 1)
    """
    expect_arguments(between, locals())
    _expect_order("between", low, high)
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
        raise _wrong("fresh", f"{within!r} is no duration", "such as 1d or 12h")
    return CheckSpec(f"fresh({within})", CheckKind.FRESH, _severity(severity), arguments=(age,))


def row_count(least: int | None = None, most: int | None = None, *, severity: str = "error") -> CheckSpec:
    """A load brings at least and at most so many rows; None leaves a side open.

    >>> row_count(least=1).arguments
    (1, None)
    """
    expect_arguments(row_count, locals())
    _expect_order("row_count", least, most)
    return CheckSpec("row_count", CheckKind.ROW_COUNT, _severity(severity), arguments=(least, most))


def checks_of(value: Any) -> tuple[Any, ...]:
    """Checks as users write them: SQL texts stand for `check`."""
    return tuple(check(item) if isinstance(item, str) else item for item in tuple_of(value))


def _of_columns(kind: CheckKind, columns: tuple[str, ...], severity: str) -> CheckSpec:
    if not columns:
        raise _wrong(kind.value, "no column is named", "one or several")
    return CheckSpec(f"{kind.value}({', '.join(columns)})", kind, _severity(severity), columns=columns)


def _expect_order(subject: str, low: float | None, high: float | None) -> None:
    if low is None and high is None:
        raise _wrong(subject, "neither end is given", "one of them, or both")
    if low is not None and high is not None and low > high:
        raise _wrong(subject, f"{low} lies above {high}", "the lower end first")


def _wrong(subject: str, found: str, expected: str) -> DefinitionError:
    return DefinitionError(subject, found, expected=expected, place=caller_place())


def _severity(text: str) -> Severity:
    expect_choice(text, tuple(s.value for s in Severity), "check", "severity")
    return Severity(text)
