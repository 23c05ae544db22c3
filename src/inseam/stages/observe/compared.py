"""What a comparison of two versions of a view says: of each feature how much is equal, and how the values moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

SHOWN = 10
"""Of how many values that differ the report gives both."""


@dataclass(frozen=True, slots=True)
class FeatureCompared:
    """One feature that both versions have in one type, over the entities that both know."""

    feature: str
    rows: int
    equal: int
    """Values with the same bits; NULL equals NULL alone."""
    nulls_before: int
    nulls_after: int
    difference: Mapping[str, float]
    """Of numbers: quantiles of the new value less the old, where both have one; empty for all else."""
    distance: float | None
    """Of the two distributions, NULLs aside, from 0 (the same) to 1 (nothing in common): the greatest gap between the
    cumulative shares (Kolmogorov-Smirnov), for strings half the sum of the gaps between shares (total variation).
    None where a side has NULLs alone.
    """

    @property
    def share(self) -> float | None:
        """Of values that are equal."""
        return self.equal / self.rows if self.rows else None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"share": self.share}


@dataclass(frozen=True, slots=True)
class ValueDiffers:
    """An entity's value under both versions. Cells are plain data; NULL is None."""

    entity: Mapping[str, Any]
    feature: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Compared:
    """Two versions of a view at one instant, over a sample of the entities that either knows."""

    view: str
    before: str
    after: str
    """Fingerprints."""
    at: str
    """ISO 8601."""
    population: int
    """Entities that there are to draw from, in whichever version has more."""
    rows: int
    """Entities that were drawn."""
    only_before: int
    only_after: int
    """Entities of which only one version has rows."""
    features: tuple[FeatureCompared, ...]
    removed: tuple[str, ...]
    added: tuple[str, ...]
    retyped: tuple[str, ...]
    """Features that are of another type now: their values are not compared."""
    differences: tuple[ValueDiffers, ...]
    """The first ones."""
    is_from_rows: bool
    """Whether the old values are the online rows, because their definition cannot be computed any more."""

    @property
    def is_equal(self) -> bool:
        """Whether every value that was drawn is the same under both."""
        return not (self.differences or self.removed or self.added or self.retyped) and not (
            self.only_before or self.only_after
        )

    def as_dict(self) -> dict[str, Any]:
        features = [one.as_dict() for one in self.features]
        return asdict(self) | {"features": features, "is_equal": self.is_equal}
