"""What is bought: a month's order lines, and the faults put into them on purpose."""

import numpy as np

from inseam.testing.retail.assortment import ONLINE, Assortment
from inseam.testing.retail.calendar import SHIFTED_DISCOUNT, Calendar, Month, Rng
from inseam.testing.retail.columns import DAY_SECONDS, Columns, Floats, Ints, pick, pick_many, size, take
from inseam.testing.retail.customers import Customers, Mood, home_is_open, intensity, stays

PAYMENTS = np.array(["card", "paypal", "gift_card", "invoice"])
INVOICE = 3
CLEAN, NO_CUSTOMER, NEGATIVE, BAD_TIME, RAGGED = range(5)
FAULTS = {
    "missing customer_id": NO_CUSTOMER,
    "negative amount": NEGATIVE,
    "unparsable ordered_at": BAD_TIME,
    "ragged line": RAGGED,
}
GUEST_SHARE, NEGATIVE_SHARE, BAD_TIME_SHARE = 0.004, 0.0012, 0.0008
RAGGED_EVERY = 3  # files


def draw_orders(
    rng: Rng, calendar: Calendar, assortment: Assortment, customers: Customers, mood: Mood, month: Month
) -> Columns:
    """A month's orders by time: customer, instant, store, payment."""
    wished, first = draw_instants(rng, calendar, assortment, customers, mood, month), draw_firsts(rng, customers, month)
    customer, ordered_at = (np.concatenate(pair) for pair in zip(wished, first, strict=True))
    by_time = np.argsort(ordered_at, kind="stable")
    customer, ordered_at = customer[by_time], ordered_at[by_time]
    home = customers.home_store[customer]
    in_store = rng.random(len(customer)) >= customers.online_share[customer]
    in_store &= (home != ONLINE) & (assortment.stores["opened_at"][home] <= ordered_at)
    payment = pick_many(rng, np.array([0.62, 0.27, 0.11]), len(customer))
    later = np.clip(0.15 + 0.10 * customers.returning[customer], 0.01, 0.6) * np.where(in_store, 0.2, 1.0)
    payment = np.where(rng.random(len(customer)) < later, INVOICE, payment)
    return {
        "customer": customer,
        "ordered_at": ordered_at,
        "store": np.where(in_store, home, ONLINE),
        "payment": payment,
        "is_guest": rng.random(len(customer)) < GUEST_SHARE,
    }


def draw_instants(
    rng: Rng, calendar: Calendar, assortment: Assortment, customers: Customers, mood: Mood, month: Month
) -> tuple[Ints, Ints]:
    """Customers and instants of orders: a plain stream, and one that promotions add by price sensitivity."""
    weight = calendar.weight[month.days]
    lifted = weight * promotion_lift(calendar)[month.days]
    near = 0.85 + 0.25 * home_is_open(assortment, customers, month.begin)
    base = customers.rate * intensity(mood.intent) * near
    base = np.where(customers.joined_at < month.end, base, 0.0)
    streams = [
        (np.repeat(np.arange(len(customers)), rng.poisson(mean * days.sum())), days)
        for mean, days in ((base, weight), (base * customers.sensitivity, lifted))
        if days.sum() > 0
    ]
    customer = np.concatenate([who for who, _ in streams])
    day = np.concatenate([pick_many(rng, days, len(who)) for who, days in streams])
    ordered_at = month.begin + day * DAY_SECONDS + time_of_day(rng, len(day))
    lapses_at = mood.lapses_at[customer]
    fade = np.where(lapses_at >= calendar.shift_at, 6.0, 30.0)
    kept = stays(rng, ordered_at, lapses_at, 25.0, fade) & (ordered_at >= customers.joined_at[customer])
    return customer[kept], ordered_at[kept]


def draw_firsts(rng: Rng, customers: Customers, month: Month) -> tuple[Ints, Ints]:
    """Customers and instants of first orders, soon after joining; one in five joins without."""
    joins = (customers.joined_at >= month.begin) & (customers.joined_at < month.end)
    customer = np.flatnonzero(joins & (rng.random(len(customers)) < 0.8))
    ordered_at = customers.joined_at[customer] + 60 + rng.exponential(900, len(customer)).astype(np.int64)
    return customer, np.minimum(ordered_at, month.end - 1)


def promotion_lift(calendar: Calendar) -> Floats:
    """By day, what a promotion adds to the orders of a customer of average sensitivity."""
    discount = np.append(calendar.promotions["discount"], 0.0)[calendar.promotion]
    is_wide = np.append(calendar.promotions["category"], -1)[calendar.promotion] < 0
    return np.asarray(discount * np.where(is_wide, 1.6, 0.7), dtype=np.float64)


def time_of_day(rng: Rng, count: int) -> Ints:
    """Seconds since midnight: lunch and evening."""
    hour = np.where(rng.random(count) < 0.45, rng.normal(12.5, 2.0, count), rng.normal(19.0, 2.2, count))
    return np.asarray(np.clip(hour, 0.2, 23.9) * 3600, dtype=np.int64)


def draw_lines(
    rng: Rng, calendar: Calendar, assortment: Assortment, customers: Customers, orders: Columns, month: Month
) -> Columns:
    """The orders' lines: product, quantity, price, and the better of promotion and markdown."""
    count = 1 + rng.poisson(customers.basket[orders["customer"]])
    order = np.repeat(np.arange(len(count)), count)
    lines = take(orders, order)
    lines["order"] = order
    lines["order_line"] = np.arange(len(order)) - np.repeat(np.cumsum(count) - count, count) + 1
    customer, day = lines["customer"], calendar.day_of(lines["ordered_at"])
    promotion = calendar.promotion[day]
    target = np.append(calendar.promotions["category"], -1)[promotion]
    wanted = customers.taste[customer] * calendar.demand[day]
    pulled = np.flatnonzero(target >= 0)
    wanted[pulled, target[pulled]] *= 1 + 1.2 * customers.sensitivity[customer[pulled]]
    category = pick(rng, wanted)
    product = assortment.pick_products(rng, category, month.number)
    applies = (promotion >= 0) & ((target < 0) | (target == category))
    discount = np.where(applies, np.append(calendar.promotions["discount"], 0.0)[promotion], 0.0)
    markdown = draw_markdown(rng, calendar, lines["ordered_at"], customers.sensitivity[customer])
    applies &= discount >= markdown
    lines["product"], lines["category"] = product, category
    lines["quantity"] = 1 + (rng.random(len(order)) < np.where(category >= 5, 0.18, 0.04))
    lines["unit_price"] = np.round(assortment.products["list_price"][product] * (1 + 0.02 * day / 365.25), 2)
    lines["discount"] = np.maximum(discount, markdown)
    lines["promotion"] = np.where(applies, promotion, -1)
    lines["amount"] = np.round(lines["quantity"] * lines["unit_price"] * (1 - lines["discount"]), 2)
    return lines


def draw_markdown(rng: Rng, calendar: Calendar, ordered_at: Ints, sensitivity: Floats) -> Floats:
    """Discounts outside promotions: found more by the price sensitive; deeper and more frequent after the shift."""
    shifted = ordered_at >= calendar.shift_at
    found = rng.random(len(ordered_at)) < np.minimum(0.06 + 0.09 * sensitivity, 0.5) * np.where(shifted, 1.8, 1.0)
    depth = rng.choice([0.10, 0.20, 0.30], len(ordered_at)) + np.where(shifted, SHIFTED_DISCOUNT, 0.0)
    return np.asarray(np.round(np.where(found, depth, 0.0), 2), dtype=np.float64)


def draw_faults(rng: Rng, lines: Columns, *, is_ragged: bool) -> Ints:
    """The fault of each line, CLEAN for nearly all; at most one a line, and one ragged line where asked."""
    draw = rng.random(size(lines))
    fault = np.where(draw < NEGATIVE_SHARE, NEGATIVE, CLEAN)
    fault = np.where((draw >= NEGATIVE_SHARE) & (draw < NEGATIVE_SHARE + BAD_TIME_SHARE), BAD_TIME, fault)
    fault = np.where(lines["is_guest"], NO_CUSTOMER, fault)
    if is_ragged and len(fault):
        fault[rng.integers(len(fault))] = RAGGED
    return fault.astype(np.int64)
