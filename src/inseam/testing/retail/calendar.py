"""The shop's calendar: months, promotions, and how much of what is wanted on each day."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from inseam.testing.retail.columns import DAY_SECONDS, Array, Columns, Floats, Ints, seconds

CATEGORIES = ("dresses", "denim", "knitwear", "shoes", "outerwear", "basics", "accessories")
SHARE = np.array([0.18, 0.14, 0.15, 0.14, 0.10, 0.18, 0.11])
PEAK_DAY = np.array([165, 260, 350, 110, 325, 180, 345])
SWING = np.array([0.60, 0.10, 0.70, 0.15, 0.80, 0.10, 0.30])
SHIFTED_CATEGORY = CATEGORIES.index("denim")
SHIFTED_DEMAND = 2.2
SHIFTED_DISCOUNT = 0.15
WEEK = np.array([0.85, 0.82, 0.85, 0.92, 1.12, 1.35, 1.09])  # from Monday

Rng: TypeAlias = np.random.Generator


@dataclass(frozen=True)
class Month:
    """A calendar month, clipped to the simulated days; `begin` and `end` in seconds, half open."""

    name: str
    begin: int
    end: int
    days: slice

    @property
    def number(self) -> int:
        """1 for January."""
        return int(self.name[5:])


@dataclass(frozen=True, eq=False)
class Calendar:
    """What every day is like. Arrays have an entry a day; `promotion` is -1 where none runs."""

    begin: int
    end: int
    shift_at: int
    months: tuple[Month, ...]
    weight: Floats
    demand: Floats
    promotion: Ints
    promotions: Columns

    def day_of(self, instants: Array) -> Ints:
        """The index of each instant's day."""
        return np.asarray((instants - self.begin) // DAY_SECONDS, dtype=np.int64)

    def shifted_share(self, month: Month) -> float:
        """How much of the month lies after the shift, 0 to 1."""
        return float(np.clip((month.end - self.shift_at) / (month.end - month.begin), 0.0, 1.0))


def make_calendar(rng: Rng, start: np.datetime64, days: int, shift_day: int) -> Calendar:
    """The calendar of `days` days from `start`, with a promotion a month."""
    dates = start + np.arange(days)
    months = split_months(dates)
    promotions, running = make_promotions(rng, months, dates, shift_day)
    return Calendar(
        begin=seconds(start),
        end=seconds(start) + days * DAY_SECONDS,
        shift_at=seconds(start) + shift_day * DAY_SECONDS,
        months=months,
        weight=day_weight(dates),
        demand=category_demand(dates, shift_day),
        promotion=running,
        promotions=promotions,
    )


def split_months(dates: Array) -> tuple[Month, ...]:
    """The calendar months that the days fall into."""
    first = np.flatnonzero(np.diff(dates.astype("datetime64[M]").astype(np.int64), prepend=-1))
    last = np.append(first[1:], len(dates))
    return tuple(
        Month(
            name=str(dates[a].astype("datetime64[M]")),
            begin=seconds(dates[a]),
            end=seconds(dates[a]) + int(b - a) * DAY_SECONDS,
            days=slice(int(a), int(b)),
        )
        for a, b in zip(first, last, strict=True)
    )


def day_of_year(dates: Array) -> Ints:
    """0 for the first of January."""
    return np.asarray((dates - dates.astype("datetime64[Y]").astype("datetime64[D]")).astype(np.int64))


def black_friday(year: int) -> np.datetime64:
    """The day after the fourth Thursday of November."""
    return np.busday_offset(f"{year}-11", 3, roll="forward", weekmask="Thu") + np.timedelta64(1, "D")


def day_weight(dates: Array) -> Floats:
    """How much is bought on a day, about 1 on average: week, year, sales, Black Friday, Christmas."""
    weekday = (dates.astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday
    phase = 2 * np.pi * day_of_year(dates) / 365.25
    weight = WEEK[weekday] * (1 + 0.08 * np.cos(phase - 5.9) + 0.05 * np.cos(2 * phase - 4.0))
    for year in np.unique(dates.astype("datetime64[Y]")):
        days_in = (dates - year.astype("datetime64[D]")).astype(np.int64)
        weight[(days_in >= 2) & (days_in < 16)] *= 1.35
        weight[(days_in >= 181) & (days_in < 195)] *= 1.30
        weight[(days_in >= 341) & (days_in < 354)] *= 1.35
        friday = (dates - black_friday(int(str(year)))).astype(np.int64)
        weight[(friday >= -4) & (friday <= 3)] *= 1.6
        weight[friday == 0] *= 1.8
    month_day = np.char.partition(dates.astype(str), "-")[:, 2]
    weight[month_day == "12-25"] *= 0.3
    return np.asarray(weight, dtype=np.float64)


def category_demand(dates: Array, shift_day: int) -> Floats:
    """Days by categories: the pull of each category; after the shift one of them climbs over three weeks."""
    phase = 2 * np.pi * (day_of_year(dates)[:, None] - PEAK_DAY) / 365.25
    demand = SHARE * (1 + SWING * np.cos(phase))
    climb = np.clip((np.arange(len(dates)) - shift_day) / 21, 0, 1)
    demand[:, SHIFTED_CATEGORY] *= 1 + (SHIFTED_DEMAND - 1) * climb
    return np.asarray(demand, dtype=np.float64)


def make_promotions(rng: Rng, months: tuple[Month, ...], dates: Array, shift_day: int) -> tuple[Columns, Ints]:
    """One promotion a month: great sales for all categories, others mostly for one. With it, the one of each day."""
    running = np.full(len(dates), -1, dtype=np.int64)
    rows: list[tuple[str, int, int, int, float]] = []
    for month in months:
        name, category, opens, length, discount = draw_promotion(rng, month)
        first = int((opens - dates[0]).astype(np.int64))
        first, last = max(first, month.days.start), min(first + length, len(dates))
        if last <= first:
            continue
        discount += SHIFTED_DISCOUNT if first >= shift_day else 0.0
        running[first:last] = len(rows)
        rows.append((name, category, seconds(dates[first]), seconds(dates[last - 1]) + DAY_SECONDS, round(discount, 2)))
    promotions: Columns = {
        "promotion_id": np.array([f"PR{number:03d}" for number in range(1, len(rows) + 1)], dtype=np.str_),
        "name": np.array([row[0] for row in rows], dtype=np.str_),
        "category": np.array([row[1] for row in rows], dtype=np.int64),
        "starts_at": np.array([row[2] for row in rows], dtype=np.int64),
        "ends_at": np.array([row[3] for row in rows], dtype=np.int64),
        "discount": np.array([row[4] for row in rows], dtype=np.float64),
    }
    return promotions, running


def draw_promotion(rng: Rng, month: Month) -> tuple[str, int, np.datetime64, int, float]:
    """A month's promotion: name, category (-1 for all), first day, days and discount."""
    year, first = month.name[:4], np.datetime64(f"{month.name}-01")
    category = int(rng.integers(len(CATEGORIES))) if rng.random() < 0.75 else -1
    day, length = int(rng.integers(7, 16)), int(rng.integers(5, 12))
    discount = float(rng.choice([0.15, 0.20, 0.25]))
    if month.number == 1:
        return f"Winter sale {year}", -1, first + 2, 14, 0.30
    if month.number == 7:
        return f"Summer sale {year}", -1, first, 14, 0.30
    if month.number == 11:
        return f"Black Friday {year}", -1, black_friday(int(year)) - np.timedelta64(4, "D"), 8, 0.30
    name = CATEGORIES[category].capitalize() if category >= 0 else "Wardrobe"
    return f"{name} days {month.name}", category, first + day, length, discount
