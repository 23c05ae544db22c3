"""A column's distribution as a few bars, from the statistics that a training set keeps of it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

BARS = 20
_TAIL = 3.0
"""A last step between quantiles that is longer than so many times all others is drawn as one bar, "and more"."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A ``share`` of the values that are not NULL; all bars together hold 1, less where rare ones are left out."""

    label: str
    share: float


def histogram(statistics: Mapping[str, Any], bars: int = BARS) -> tuple[Bar, ...]:
    """Bars of equal width for numbers, by falling count for categories; none for a column without values."""
    quantiles = statistics.get("quantiles")
    if quantiles and all(value is not None for value in quantiles):
        return _of_numbers([float(value) for value in quantiles], bars)
    held = (statistics.get("count") or 0) - (statistics.get("nulls") or 0)
    return tuple(Bar(str(value), count / held) for value, count in statistics.get("top", ())[:bars] if held)


def _of_numbers(quantiles: Sequence[float], bars: int) -> tuple[Bar, ...]:
    low, high = quantiles[0], quantiles[-1]
    if low == high:
        return (Bar(f"{low:g}", 1.0),)
    body = quantiles[-2] - low
    is_cut = 0 < body < (high - quantiles[-2]) / _TAIL
    end = quantiles[-2] if is_cut else high
    edges = [low + (end - low) * number / bars for number in range(bars)] + [end]
    below = [0.0, *(_share_below(quantiles, edge) for edge in edges[1:])]
    found = [
        Bar(f"{start:.4g} to {stop:.4g}", right - left)
        for start, stop, left, right in zip(edges, edges[1:], below, below[1:], strict=False)
    ]
    return (*found, Bar(f"above {end:.4g}, up to {high:.4g}", 1.0 - below[-1])) if is_cut else tuple(found)


def _share_below(quantiles: Sequence[float], value: float) -> float:
    """The share of values up to ``value``: linear between quantiles, which lie at equal shares."""
    place, last = bisect_right(quantiles, value), len(quantiles) - 1
    if place > last:
        return 1.0
    before, after = quantiles[place - 1], quantiles[place]
    return (place - 1 + (value - before) / (after - before)) / last
