"""The bootstrap: how much a metric would move had other rows been drawn. Seeded, vectorised, bounded in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

CELLS = 2_000_000
"""At most so many weights (8 bytes each) are held at a time; a formula needs a few arrays of that size."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric's value with its 95 % interval; NaN where too few resamples define it.

    The interval is the middle 95 % of the resamples, moved so that their median lies on the value, within the range
    of the metric. Some metrics (the calibration error) are greater on every resample than on the rows: their plain
    percentiles would miss the value, and the truth more often.
    """

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float | None]:
        """As JSON data, None for NaN."""
        named = {"value": self.value, "low": self.low, "high": self.high}
        return {name: None if np.isnan(number) else float(number) for name, number in named.items()}


def resamples(rows: int, count: int, seed: int, groups: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """Weights of ``count`` resamples in blocks of shape (some, rows): how often each row was drawn.

    With ``groups`` (int64 codes 0..n-1, one a row) whole groups are drawn: rows of one entity at many instants are no
    independent evidence, and drawing them apart would make every interval too narrow.
    """
    units = rows if groups is None else int(groups.max(initial=-1)) + 1
    random = np.random.default_rng(seed)
    step = max(1, CELLS // max(rows, 1))
    for first in range(0, count, step):
        block = min(step, count - first)
        drawn = np.stack([np.bincount(random.integers(0, units, units), minlength=units) for _ in range(block)])
        weights = drawn if groups is None else drawn[:, groups]
        yield weights.astype(np.float64)


def bootstrap(
    measures: Mapping[str, Callable[[np.ndarray], np.ndarray]],
    rows: int,
    *,
    count: int = 200,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Each measure's value on each resample, (count,); all measures see the same resamples, so they can be paired."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in measures}
    with np.errstate(invalid="ignore", divide="ignore"):
        for weights in resamples(rows, count, seed, groups):
            for name, measure in measures.items():
                found[name].append(measure(weights))
    return {name: np.concatenate(parts) if parts else np.empty(0) for name, parts in found.items()}


def estimates(
    measures: Mapping[str, Callable[[np.ndarray], np.ndarray]],
    rows: int,
    *,
    count: int = 200,
    seed: int = 0,
    groups: np.ndarray | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> dict[str, Estimate]:
    """Each measure's value on the rows as they are, with the interval of its resamples.

    ``ranges``: the least and the greatest value that a measure can have, where it has such.
    """
    if rows == 0:
        return {name: Estimate(np.nan, np.nan, np.nan) for name in measures}
    once = np.ones((1, rows))
    spread = bootstrap(measures, rows, count=count, seed=seed, groups=groups)
    result = {}
    for name, measure in measures.items():
        finite = spread[name][np.isfinite(spread[name])]
        # A metric that most resamples leave undefined has no interval worth the name.
        is_enough = len(finite) >= max(2, count // 2)
        low, middle, high = np.quantile(finite, [0.025, 0.5, 0.975]) if is_enough else (np.nan,) * 3
        with np.errstate(invalid="ignore", divide="ignore"):
            value = float(measure(once)[0])
        interval = np.clip([low - middle + value, high - middle + value], *(ranges or {}).get(name, (-np.inf, np.inf)))
        result[name] = Estimate(value, *map(float, interval))
    return result


def group_codes(*columns: np.ndarray) -> np.ndarray:
    """int64 codes, equal where all columns are equal: the entities of rows, for `resamples`."""
    import pandas as pd

    codes = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        each, distinct = pd.factorize(column, use_na_sentinel=False)
        codes, _ = pd.factorize(codes * (len(distinct) + 1) + each)
    return codes.astype(np.int64)
