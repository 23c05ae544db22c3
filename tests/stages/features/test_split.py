"""Where the split lies and who falls beside it."""

from __future__ import annotations

import numpy as np
import pytest

from inseam.ir.training import SplitSpec
from inseam.kernel.clock import DAY
from inseam.stages.features.split import Split, split_of


@pytest.mark.parametrize(
    ("spec", "at"),
    [
        (SplitSpec(at=5 * DAY, test=DAY), 5 * DAY),
        (SplitSpec(test=30 * DAY), 80 * DAY),
        (SplitSpec(fraction=0.2), 90 * DAY),
        (SplitSpec(fraction=0.0), 110 * DAY),
    ],
)
def test_where_it_lies(spec, at):
    assert split_of(spec, 10 * DAY, 110 * DAY, 7) == Split(at, 7)


def test_a_training_row_s_label_may_end_at_the_split_and_not_behind_it():
    split = Split(at=100, ahead=10)
    instants = np.array([0, 89, 90, 91, 99, 100, 101])
    assert split.is_purged(instants).tolist() == [False, False, False, True, True, False, False]
    assert split.is_test(instants).tolist() == [False, False, False, False, False, True, True]


def test_a_label_that_does_not_look_ahead_purges_nothing():
    assert not Split(100, 0).is_purged(np.arange(200)).any()
