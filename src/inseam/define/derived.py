"""Derived features as users write them: of other features of their view, or of the time that has passed."""

from __future__ import annotations

from inseam.define.aggregate import Aggregate
from inseam.define.expect import caller_place
from inseam.ir.aggregates import AggregateKind


def ratio(feature: str, to: str) -> Aggregate:
    """One feature of the view divided by another, as a float; NULL where either is NULL or the other is 0.

    Both are declared in the view before it.

    >>> str(ratio("spend_30d", "spend_365d"))
    'ratio(spend_30d, spend_365d)'
    """
    return Aggregate(AggregateKind.RATIO, of=(feature, to), place=caller_place())


def difference(feature: str, less: str) -> Aggregate:
    """One feature of the view less another, as a float; NULL where either is NULL.

    Both are declared in the view before it.

    >>> str(difference("spend_30d", "spend_prior"))
    'difference(spend_30d, spend_prior)'
    """
    return Aggregate(AggregateKind.DIFFERENCE, of=(feature, less), place=caller_place())


def time_since_last(*, over: str | None = None, where: str | None = None) -> Aggregate:
    """Seconds from the newest row to the view's boundary, as a float; NULL over no row.

    >>> str(time_since_last(where="is_paid"))
    'time_since_last()'
    """
    return Aggregate(AggregateKind.TIME_SINCE_LAST, over=over, where=where, place=caller_place())


def time_since_first(*, over: str | None = None, where: str | None = None) -> Aggregate:
    """Seconds from the oldest row to the view's boundary, as a float; NULL over no row.

    >>> str(time_since_first(over="365d"))
    "time_since_first(over='365d')"
    """
    return Aggregate(AggregateKind.TIME_SINCE_FIRST, over=over, where=where, place=caller_place())
