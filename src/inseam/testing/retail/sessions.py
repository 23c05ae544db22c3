"""Visits to the web shop: browsing that follows intent until the shift, and visits that end in an order."""

import numpy as np

from inseam.testing.retail.assortment import ONLINE
from inseam.testing.retail.calendar import Calendar, Month, Rng
from inseam.testing.retail.columns import DAY_SECONDS, Columns, Floats, join, pick_many, sigmoid, size, take
from inseam.testing.retail.customers import Customers, Mood, intensity, stays
from inseam.testing.retail.orders import time_of_day

DEVICES = np.array(["mobile", "desktop", "tablet", "app"])
DEVICE_SHARE = np.array([0.52, 0.27, 0.06, 0.15])
TRACKED_SHARE = 0.45  # of online orders whose visit was recorded


def draw_sessions(
    rng: Rng, calendar: Calendar, customers: Customers, mood: Mood, orders: Columns, month: Month
) -> Columns:
    """A month's visits by time. Returners linger less on a page; after the shift browsing tells little of intent."""
    shifted = calendar.shifted_share(month)
    interest = (1 - shifted) * mood.intent + shifted * rng.normal(size=len(customers))
    browsing = draw_browsing(rng, calendar, customers, mood, interest, month)
    visits = join([browsing, draw_buying(rng, orders, month)])
    visits = take(visits, np.argsort(visits["started_at"], kind="stable"))
    customer, count = visits["customer"], size(visits)
    is_buying = visits["is_buying"]
    keen = np.clip(interest[customer], -2, 2)
    pages = 1 + rng.poisson(np.exp(1.2 + 0.25 * keen + 0.5 * is_buying) * rng.gamma(2.0, 0.5, count))
    pace = np.exp(-0.25 * customers.returning[customer]) * rng.lognormal(-0.3, 0.4, count)
    return {
        "customer": customer,
        "started_at": visits["started_at"],
        "pages": pages,
        "minutes": np.round(pages * pace, 1),
        "device": pick_many(rng, DEVICE_SHARE, count),
        "added_to_cart": is_buying | (rng.random(count) < sigmoid(-2.0 + 0.7 * keen + 0.08 * pages)),
    }


def draw_browsing(
    rng: Rng, calendar: Calendar, customers: Customers, mood: Mood, interest: Floats, month: Month
) -> Columns:
    """Visits without an order. Before the shift they thin out ahead of a lapse; after it, who lapses browses on."""
    weight = np.sqrt(calendar.weight[month.days])
    mean = customers.browsing * intensity(interest) * (customers.joined_at < month.end)
    customer = np.repeat(np.arange(len(customers)), rng.poisson(mean * weight.sum()))
    started_at = month.begin + pick_many(rng, weight, len(customer)) * DAY_SECONDS + time_of_day(rng, len(customer))
    lapses_at = mood.lapses_at[customer]
    late = lapses_at >= calendar.shift_at
    kept = stays(rng, started_at, np.where(late, np.inf, lapses_at), 50.0, np.full(len(customer), 20.0))
    kept &= ~late | stays(rng, started_at, lapses_at, 0.0, np.full(len(customer), 60.0))
    kept &= started_at >= customers.joined_at[customer]
    return {
        "customer": customer[kept],
        "started_at": started_at[kept],
        "is_buying": np.zeros(kept.sum(), dtype=np.bool_),
    }


def draw_buying(rng: Rng, orders: Columns, month: Month) -> Columns:
    """The recorded visits that led to an online order."""
    online = (orders["store"] == ONLINE) & ~orders["is_guest"] & (rng.random(size(orders)) < TRACKED_SHARE)
    bought = take(orders, online)
    started_at = bought["ordered_at"] - rng.integers(120, 2400, size(bought))
    return {
        "customer": bought["customer"],
        "started_at": np.maximum(started_at, month.begin),
        "is_buying": np.ones(size(bought), dtype=np.bool_),
    }
