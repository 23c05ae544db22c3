"""Instants, durations, boundaries. Instants are UTC microseconds since the epoch, as plain integers."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
_UNITS = {"us": 1, "ms": 1_000, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
_DURATION = re.compile(r"(?:[0-9]+(?:us|ms|s|m|h|d|w))+\Z")
_PART = re.compile(r"([0-9]+)(us|ms|s|m|h|d|w)")
_LONGEST = 10_000 * 366 * DAY
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def parse_duration(text: str) -> int:
    """``"30d"``, ``"1h30m"``, ``"0s"`` to microseconds; raises ValueError for anything else.

    >>> parse_duration("1h30m")
    5400000000
    """
    if _DURATION.match(text) is None:
        raise ValueError(f"{text!r} is not a duration such as 30d, 12h, 90m, 1h30m or 0s")
    microseconds = sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    if microseconds > _LONGEST:
        raise ValueError(f"{text!r} is longer than the calendar")
    return microseconds


def format_duration(microseconds: int) -> str:
    """The text, in falling units from days, that `parse_duration` reads back to the same number (0 or more).

    >>> format_duration(parse_duration("36h"))
    '1d12h'
    """
    if microseconds == 0:
        return "0s"
    parts: list[str] = []
    rest = microseconds
    for unit in ("d", "h", "m", "s", "ms", "us"):
        count, rest = divmod(rest, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def from_datetime(moment: datetime) -> int:
    """A time-zone aware datetime to UTC microseconds; a naive one raises ValueError."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} names no time zone")
    return (moment - _EPOCH) // _MICROSECOND


def to_datetime(instant: int) -> datetime:
    return _EPOCH + timedelta(microseconds=instant)


def parse_instant(text: str) -> int:
    """ISO 8601 to UTC microseconds. A date alone or a naive time is read as UTC.

    >>> format_instant(parse_instant("2024-06-01T02:00:00+02:00"))
    '2024-06-01T00:00:00Z'
    """
    moment = datetime.fromisoformat(text)
    return from_datetime(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))


def format_instant(instant: int) -> str:
    """ISO 8601 in UTC with a ``Z``."""
    return to_datetime(instant).isoformat().replace("+00:00", "Z")


def _system_now() -> int:
    return time.time_ns() // 1_000


_now: ContextVar[Callable[[], int]] = ContextVar("inseam_now", default=_system_now)


def now() -> int:
    """The present instant in UTC microseconds, from the clock that is in force."""
    return _now.get()()


@contextmanager
def frozen_at(instant: int) -> Iterator[None]:
    """Within this block (of this thread or task) the present is ``instant``."""
    token = _now.set(lambda: instant)
    try:
        yield
    finally:
        _now.reset(token)


@dataclass(frozen=True, slots=True)
class Step:
    """The step of a feature view: its boundaries are whole multiples of ``microseconds`` from the epoch.

    With a ``zone`` the step is a whole number of days and boundaries are local midnights, 23 to 25 hours apart;
    day 0 is 1970-01-01 in that zone. ``microseconds == 0`` is continuous: every instant is a boundary.

    >>> format_instant(Step(DAY, "Europe/Berlin").boundary(parse_instant("2024-06-01T12:00:00Z")))
    '2024-05-31T22:00:00Z'
    """

    microseconds: int
    zone: str | None = None

    def floor(self, instant: int) -> int:
        """The newest boundary at or before ``instant``."""
        if self.microseconds == 0:
            return instant
        if self.zone is None:
            return instant - instant % self.microseconds
        zone = ZoneInfo(self.zone)
        days = self.microseconds // DAY
        first = _EPOCH.toordinal()
        ordinal = to_datetime(instant).astimezone(zone).date().toordinal()
        ordinal = first + (ordinal - first) // days * days
        # Clocks set back across midnight (St. John's until 2010) repeat an end of a day after the next has begun.
        following = local_midnight(ordinal + days, zone)
        return following if following <= instant else local_midnight(ordinal, zone)

    def boundary(self, instant: int, lag: int = 0) -> int:
        """``b(t) = floor(t - lag, every)``: the newest boundary whose values are readable at ``instant``."""
        return self.floor(instant - lag)

    def next_after(self, instant: int) -> int:
        """The oldest boundary strictly after ``instant``."""
        if self.microseconds == 0:
            return instant + 1
        if self.zone is None:
            return self.floor(instant) + self.microseconds
        zone = ZoneInfo(self.zone)
        floor_day = to_datetime(self.floor(instant)).astimezone(zone).date().toordinal()
        return local_midnight(floor_day + self.microseconds // DAY, zone)


def local_midnight(ordinal: int, zone: ZoneInfo) -> int:
    """The first instant of the proleptic day ``ordinal`` in ``zone``.

    Where midnight happens twice it is the first; where a gap of DST skips it, the gap's end.
    """
    wall = datetime.fromordinal(ordinal).replace(tzinfo=zone)
    instant = from_datetime(wall)
    early = from_datetime(wall.replace(fold=1))
    if early >= instant:
        return instant
    # In a gap, the wall time read with the offset of after it lies before the change, and the other way round.
    before = to_datetime(early).astimezone(zone).utcoffset()
    while instant - early > 1:
        middle = (early + instant) // 2
        if to_datetime(middle).astimezone(zone).utcoffset() == before:
            early = middle
        else:
            instant = middle
    return instant
