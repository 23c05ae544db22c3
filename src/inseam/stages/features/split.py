"""Which rows are for training, which for testing, and which for neither: by time, and by what a label has seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inseam.ir.training import SplitSpec


@dataclass(frozen=True, slots=True)
class Split:
    """``at``: the split instant; ``ahead``: how far a label looks past its row's instant. UTC microseconds."""

    at: int
    ahead: int

    def is_test(self, instants: np.ndarray) -> np.ndarray:
        """bool (rows,): rows at or after the split."""
        found: np.ndarray = instants >= self.at
        return found

    def is_purged(self, instants: np.ndarray) -> np.ndarray:
        """bool (rows,): rows before the split whose label has seen what lies behind it."""
        found: np.ndarray = (instants < self.at) & (instants + self.ahead > self.at)
        return found


def split_of(spec: SplitSpec, first: int, last: int, ahead: int) -> Split:
    """``first`` and ``last`` are the instants of the oldest and newest row that has a ripe label."""
    if spec.at is not None:
        return Split(spec.at, ahead)
    test = spec.test if spec.test is not None else round((last - first) * spec.fraction)
    return Split(last - test, ahead)
