"""``b(t)`` of TIME.md for whole columns of instants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from inseam.kernel.clock import DAY, Step, local_midnight

if TYPE_CHECKING:
    import numpy as np

_EPOCH_DAY = 719_163
"""The proleptic ordinal of 1970-01-01."""
_LAST_DAY = 3_652_058
"""The ordinal of 9999-12-30: the calendar's end, less a day for offsets."""


def boundaries(instants: np.ndarray, step: Step, lag: int = 0) -> np.ndarray:
    """``floor(t - lag, every)`` for int64 UTC microseconds; equal to `Step.boundary` for each of them."""
    shifted = instants - lag
    if step.microseconds == 0 or shifted.size == 0:
        return shifted
    if step.zone is None:
        floored: np.ndarray = shifted - shifted % step.microseconds
        return floored
    table = _midnights(shifted, step)
    import numpy as np

    found: np.ndarray = table[np.searchsorted(table, shifted, side="right") - 1]
    return found


def grid(start: int, end: int, step: Step) -> np.ndarray:
    """Every boundary of ``step`` in ``[start, end)``, ascending, as int64 UTC microseconds."""
    import numpy as np

    if step.zone is None:
        first = start + -start % step.microseconds
        return np.arange(first, max(end, first), step.microseconds, dtype=np.int64)
    days = step.microseconds // DAY
    low = _multiple(start // DAY - 2, days)
    ordinals = range(_EPOCH_DAY + low, _EPOCH_DAY + end // DAY + 3, days)
    zone = ZoneInfo(step.zone)
    found = np.unique(np.fromiter((local_midnight(day, zone) for day in ordinals), np.int64))
    return found[(found >= start) & (found < end)]


def _midnights(instants: np.ndarray, step: Step) -> np.ndarray:
    """The boundaries next to the instants: only days that occur are looked up, however far apart they lie."""
    import numpy as np

    days = step.microseconds // DAY
    occurring = np.unique(instants // DAY)
    # Offsets reach 15 hours: the local day is the UTC one or a neighbour.
    near = np.unique(np.concatenate([_multiple(occurring + shift, days) for shift in (-2, -1, 0, 1, 2)]))
    zone = ZoneInfo(step.zone or "UTC")
    ordinals = np.unique(np.clip(near + _EPOCH_DAY, 2, _LAST_DAY))
    return np.unique(np.fromiter((local_midnight(int(day), zone) for day in ordinals), np.int64))


def _multiple(day: Any, days: int) -> Any:
    """The greatest multiple of ``days`` at or before a day number (or an array of them)."""
    return day - day % days
