"""Who buys: what can be seen of a customer, what cannot, and how both change from month to month."""

from dataclasses import dataclass, replace

import numpy as np

from inseam.testing.retail.assortment import COUNTRIES, COUNTRY_SHARE, ONLINE, Assortment
from inseam.testing.retail.calendar import CATEGORIES, Calendar, Month, Rng
from inseam.testing.retail.columns import DAY_SECONDS, Columns, Flags, Floats, Ints, pick, pick_many

CHANNELS = np.array(["store", "search", "referral", "app", "creator"])
CHANNEL_SHARE = np.array([0.36, 0.32, 0.14, 0.18])
CREATOR = 4  # the channel that appears with the shift
KNOWN_SHARE = 0.45  # of customers who joined before the first day
YEARLY_ORDERS = 11.6
MONTHLY_HAZARD, LATE_HAZARD = 0.040, 4.5
WON_BACK, WON_BACK_BY_SALE = 0.02, 0.06  # of the lapsed, a month
INTENT_MEMORY, INTENT_SPREAD = 0.6, 0.7


@dataclass(frozen=True, eq=False)
class Customers:
    """Customers in order of joining. `seen` goes to the file; the rest is latent and drives behaviour."""

    seen: Columns
    joined_at: Ints
    rate: Floats  # orders a day while active
    basket: Floats  # further lines of an order
    taste: Floats  # customers by categories
    sensitivity: Floats  # to discounts, 1 on average
    hazard: Floats  # of lapsing, a month
    late_hazard: Floats  # the same after the shift: higher, and loyalty no longer protects
    returning: Floats  # log-odds of sending something back
    browsing: Floats  # sessions a day while active
    online_share: Floats
    home_store: Ints

    def __len__(self) -> int:
        return len(self.joined_at)


@dataclass(frozen=True, eq=False)
class Mood:
    """What changes from month to month: momentary intent, when each lapses (inf: not in sight), returns last month."""

    intent: Floats
    lapses_at: Floats
    annoyance: Floats


def make_customers(rng: Rng, calendar: Calendar, assortment: Assortment, count: int) -> Customers:
    """Draw the customers and what drives them."""
    joined_at = draw_joining(rng, calendar, count)
    channel = pick_many(rng, CHANNEL_SHARE, count)
    channel[(joined_at >= calendar.shift_at) & (rng.random(count) < 0.5)] = CREATOR
    country = pick_many(rng, COUNTRY_SHARE, count)
    age = np.clip(rng.gamma(7.0, 5.6, count), 16, 90)
    is_creator = channel == CREATOR
    loyalty = rng.gamma(1.6, 1 / 1.6, count) * np.where(is_creator, 0.6, 1.0)
    frailty = MONTHLY_HAZARD * np.where(is_creator, 2.5, 1.0) * rng.gamma(2.0, 0.5, count)
    returning = rng.normal(0.0, 0.9, count) + np.where(is_creator, 0.4, 0.0)
    digital = np.array([-0.8, 0.6, 0.2, 0.9, 1.2])[channel] - 0.02 * (age - 40) + rng.normal(0, 0.8, count)
    return Customers(
        seen={
            "customer_id": np.arange(count) + 100_001,
            "joined_at": joined_at,
            "birth_year": (1970 + calendar.begin / (365.25 * DAY_SECONDS) - age).astype(np.int64),
            "birth_year_missing": rng.random(count) < 0.12,
            "country": country,
            "channel": channel,
            "email_opt_in": rng.random(count) < 0.35 + 0.35 * loyalty / (1 + loyalty),
        },
        joined_at=joined_at,
        rate=loyalty * YEARLY_ORDERS / 365.25,
        basket=rng.gamma(4.0, 1.25 / 4.0, count),
        taste=rng.gamma(1.2, 1 / 1.2, (count, len(CATEGORIES))) + 0.05,
        sensitivity=rng.gamma(2.0, 0.5, count),
        hazard=frailty * np.exp(0.5 - 0.5 * loyalty),
        late_hazard=frailty * LATE_HAZARD,
        returning=returning,
        browsing=(0.3 + 0.7 * loyalty) * rng.gamma(2.0, 0.5, count) * np.exp(0.4 * digital) / 23.5,
        online_share=1 / (1 + np.exp(-digital)),
        home_store=draw_home(rng, assortment, country),
    )


def draw_joining(rng: Rng, calendar: Calendar, count: int) -> Ints:
    """Sorted instants of joining: some before the first day, the rest as the shop is busy; more after the shift."""
    known = round(count * KNOWN_SHARE)
    before = calendar.begin - (1095 * DAY_SECONDS * rng.beta(1.0, 1.3, known)).astype(np.int64) - 1
    days = np.arange(len(calendar.weight))
    shift_day = (calendar.shift_at - calendar.begin) // DAY_SECONDS
    weight = calendar.weight * np.where(days >= shift_day, 1.6, 1.0)
    after = calendar.begin + pick_many(rng, weight, count - known) * DAY_SECONDS
    after += np.clip(rng.normal(16 * 3600, 4 * 3600, count - known), 0, DAY_SECONDS - 1).astype(np.int64)
    return np.sort(np.concatenate([before, after]))


def draw_home(rng: Rng, assortment: Assortment, country: Ints) -> Ints:
    """Each customer's nearest store: one of the country, else the online store."""
    stores = assortment.stores
    near = (stores["country"] == np.arange(len(COUNTRIES))[:, None]) & ~stores["is_online"]
    weights = near * rng.gamma(2.0, 0.5, len(stores["country"])) + 1e-9 * stores["is_online"]
    return pick(rng, weights[country])


def first_mood(rng: Rng, calendar: Calendar, customers: Customers) -> Mood:
    """The mood on the first day; some who joined long ago have lapsed already."""
    known = calendar.begin - customers.joined_at
    lapses_at = customers.joined_at + rng.exponential(30 * DAY_SECONDS / customers.hazard)
    has_lapsed = (known > 0) & (lapses_at < calendar.begin)
    return Mood(
        intent=rng.normal(size=len(customers)),
        lapses_at=np.where(has_lapsed, lapses_at, np.inf),
        annoyance=np.zeros(len(customers)),
    )


def next_mood(rng: Rng, calendar: Calendar, month: Month, customers: Customers, mood: Mood) -> Mood:
    """The mood of a month: intent drifts, some come back, and those who lapse in the month after are now fixed."""
    count = len(customers)
    noise = rng.normal(size=count) * np.sqrt(1 - INTENT_MEMORY**2)
    appeal = WON_BACK_BY_SALE if month.number == 11 else WON_BACK
    won_back = (month.begin - mood.lapses_at > 45 * DAY_SECONDS) & (rng.random(count) < appeal)
    lapses_at = np.where(won_back, np.inf, mood.lapses_at)
    instant = month.end + rng.random(count) * 30 * DAY_SECONDS
    is_new = month.begin - customers.joined_at < 90 * DAY_SECONDS
    hazard = np.where(instant >= calendar.shift_at, customers.late_hazard, customers.hazard)
    hazard = hazard * np.where(is_new, 1.7, 1.0) * (1 + 0.8 * mood.annoyance)
    at_risk = np.isinf(lapses_at) & (customers.joined_at < month.end)
    lapsing = at_risk & (rng.random(count) < 1 - np.exp(-hazard))
    return Mood(
        intent=INTENT_MEMORY * mood.intent + noise,
        lapses_at=np.where(lapsing, instant, lapses_at),
        annoyance=mood.annoyance,
    )


def annoyed(mood: Mood, returned: Ints, count: int) -> Mood:
    """The mood after a month in which these customers sent something back."""
    return replace(mood, annoyance=np.minimum(np.bincount(returned, minlength=count), 3).astype(np.float64))


def intensity(intent: Floats) -> Floats:
    """How much more or less than usual each customer wants this month, 1 on average."""
    return np.asarray(np.exp(INTENT_SPREAD * intent - INTENT_SPREAD**2 / 2), dtype=np.float64)


def stays(rng: Rng, instants: Ints, lapses_at: Floats, days_before: float, days_after: Floats) -> Flags:
    """Which acts still happen: fewer as the lapse nears, and fading with a mean of `days_after` behind it."""
    gap = (instants - lapses_at) / DAY_SECONDS
    with np.errstate(over="ignore"):
        after = np.exp(-np.maximum(gap, 0) / days_after)
    before = np.clip(-gap / max(days_before, 1e-9), 0.35, 1.0) if days_before else np.ones(len(gap))
    return np.asarray(rng.random(len(gap)) < np.where(gap >= 0, after, before), dtype=np.bool_)


def home_is_open(assortment: Assortment, customers: Customers, instant: int) -> Flags:
    """Whose home store is a real one and open at the instant."""
    opened = assortment.stores["opened_at"][customers.home_store] <= instant
    return np.asarray(opened & (customers.home_store != ONLINE), dtype=np.bool_)
