"""Folds that respect time: each is fitted on the past and judged on what came after."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from inseam.ir.training import Task
from inseam.kernel.errors import DataError

_CUTS = (0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True)
class Fold:
    """Row indices of the train part."""

    fitted_on: np.ndarray
    judged_on: np.ndarray


def expanding_folds(subject: str, event_time: np.ndarray, y: np.ndarray, task: Task, ahead: int) -> tuple[Fold, ...]:
    """Up to three folds: the first 40, 60 and 80 % of rows by time, each judged on the next 20 %.

    A row whose label looks past the cut (``event_time + ahead``, microseconds) is left out of the fit, as the split of
    the training set itself does. Folds that lack a class on the fitting side, or have only one on the other, are left
    out; `DataError` when none remains.
    """
    folds = tuple(_folds(event_time, y, task, np.timedelta64(ahead, "us")))
    if not folds:
        raise DataError(
            subject,
            "the train part is too short to be cut by time for tuning",
            expected="rows of every class on both sides of a cut, at least the label's horizon apart",
            mend="train without tune=, or give the training set a longer history",
        )
    return folds


def _folds(event_time: np.ndarray, y: np.ndarray, task: Task, ahead: np.timedelta64) -> Iterator[Fold]:
    ranked = np.sort(event_time)
    ends = [ranked[min(int(len(ranked) * cut), len(ranked) - 1)] for cut in _CUTS]
    for number, (start, end) in enumerate(pairwise(ends)):
        is_last = number == len(ends) - 2
        past = np.flatnonzero((event_time < start) & (event_time + ahead <= start))
        after = np.flatnonzero((event_time >= start) & ((event_time < end) | is_last))
        if len(past) == 0 or len(after) == 0:
            continue
        lacks = task is not Task.REGRESSION and (
            len(np.unique(y[past])) < len(np.unique(y)) or len(np.unique(y[after])) < 2
        )
        if not lacks:
            yield Fold(past, after)
