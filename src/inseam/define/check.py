"""Checks: what a source promises of its rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from inseam.define.declaration import tuple_of
from inseam.ir.checks import CheckKind, CheckSpec, Severity
from inseam.kernel.clock import parse_duration


def check(expression: str, *, severity: str = "error", name: str | None = None) -> CheckSpec:
    """Rows for which a SQL expression is false break the check (NULL passes).

    >>> check("amount >= 0", severity="warn").name
    'amount >= 0'
    """
    return CheckSpec(name or expression, CheckKind.EXPRESSION, Severity(severity), expression=expression)


def not_null(*columns: str, severity: str = "error") -> CheckSpec:
    return CheckSpec(f"not_null({', '.join(columns)})", CheckKind.NOT_NULL, Severity(severity), columns=columns)


def unique(*columns: str, severity: str = "error") -> CheckSpec:
    """No two rows share these columns' values; the first one loaded stays."""
    return CheckSpec(f"unique({', '.join(columns)})", CheckKind.UNIQUE, Severity(severity), columns=columns)


def one_of(column: str, values: Iterable[Any], *, severity: str = "error") -> CheckSpec:
    return CheckSpec(
        f"one_of({column})", CheckKind.ONE_OF, Severity(severity), columns=(column,), arguments=tuple(values)
    )


def between(column: str, low: float | None, high: float | None, *, severity: str = "error") -> CheckSpec:
    """The value lies in ``[low, high]``; None leaves a side open."""
    return CheckSpec(
        f"between({column})", CheckKind.BETWEEN, Severity(severity), columns=(column,), arguments=(low, high)
    )


def fresh(within: str, *, severity: str = "warn") -> CheckSpec:
    """The newest row of a load is at most this old."""
    return CheckSpec(f"fresh({within})", CheckKind.FRESH, Severity(severity), arguments=(parse_duration(within),))


def row_count(least: int | None = None, most: int | None = None, *, severity: str = "error") -> CheckSpec:
    """A load brings at least and at most so many rows."""
    return CheckSpec("row_count", CheckKind.ROW_COUNT, Severity(severity), arguments=(least, most))


def checks_of(value: Any) -> tuple[CheckSpec, ...]:
    """Checks as users write them: SQL texts stand for `check`."""
    return tuple(check(item) if isinstance(item, str) else item for item in tuple_of(value))
