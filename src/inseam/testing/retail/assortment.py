"""What is sold and where: products with prices and popularity, stores with their opening days."""

from dataclasses import dataclass

import numpy as np

from inseam.testing.retail.calendar import CATEGORIES, SHARE, Calendar, Rng
from inseam.testing.retail.columns import DAY_SECONDS, Columns, Floats, Ints, pick_many

PRICE = np.array([59.0, 69.0, 55.0, 85.0, 129.0, 19.0, 25.0])
COLOURS = np.array(["black", "white", "navy", "grey", "red", "green", "beige", "pink", "brown", "blue"])
SEASONS = np.array(["all_year", "spring_summer", "autumn_winter"])
SUMMERY = np.array([0.70, 0.20, 0.05, 0.35, 0.10, 0.25, 0.25])
WINTRY = np.array([0.15, 0.20, 0.80, 0.35, 0.80, 0.15, 0.25])
COUNTRIES = np.array(["DE", "FR", "GB", "ES", "IT", "PL"])
COUNTRY_SHARE = np.array([0.26, 0.20, 0.19, 0.14, 0.12, 0.09])
CITIES = {
    "DE": ("Berlin", "Hamburg", "Munich", "Cologne", "Frankfurt", "Leipzig"),
    "FR": ("Paris", "Lyon", "Marseille", "Lille", "Nantes", "Bordeaux"),
    "GB": ("London", "Manchester", "Leeds", "Bristol", "Glasgow", "Cardiff"),
    "ES": ("Madrid", "Barcelona", "Valencia", "Seville", "Bilbao", "Malaga"),
    "IT": ("Milan", "Rome", "Turin", "Naples", "Bologna", "Florence"),
    "PL": ("Warsaw", "Krakow", "Gdansk", "Wroclaw", "Poznan", "Lodz"),
}
ONLINE = 0  # the index of the one online store


@dataclass(frozen=True, eq=False)
class Assortment:
    """Products ordered by category: those of category c are `first[c] <= product < first[c + 1]`."""

    products: Columns
    stores: Columns
    popularity: Floats
    first: Ints

    def pick_products(self, rng: Rng, category: Ints, month: int) -> Ints:
        """A product for each wanted category, by popularity and season of the year."""
        chosen = np.zeros(len(category), dtype=np.int64)
        in_season = np.array([1.0, 1.6 if 3 <= month <= 8 else 0.5, 0.5 if 3 <= month <= 8 else 1.6])
        weights = self.popularity * in_season[self.products["season"]]
        for c, (a, b) in enumerate(zip(self.first[:-1], self.first[1:], strict=True)):
            wanted = np.flatnonzero(category == c)
            chosen[wanted] = a + pick_many(rng, weights[a:b], len(wanted))
        return chosen


def make_assortment(rng: Rng, calendar: Calendar, products: int, stores: int) -> Assortment:
    """Draw the range and the stores."""
    category = np.sort(np.concatenate([np.arange(len(CATEGORIES)), pick_many(rng, SHARE, products - len(CATEGORIES))]))
    draw = rng.random(products)
    season = np.where(draw < SUMMERY[category], 1, np.where(draw > 1 - WINTRY[category], 2, 0))
    price = np.floor(PRICE[category] * rng.lognormal(0.0, 0.4, products)) + rng.choice([0.5, 0.9, 0.99], products)
    columns: Columns = {
        "product_id": np.array([f"P{number:05d}" for number in range(1, products + 1)]),
        "category": category,
        "list_price": price,
        "colour": rng.integers(len(COLOURS), size=products),
        "season": season,
    }
    return Assortment(
        products=columns,
        stores=make_stores(rng, calendar, stores),
        popularity=rng.lognormal(0.0, 1.0, products),
        first=np.searchsorted(category, np.arange(len(CATEGORIES) + 1)).astype(np.int64),
    )


def make_stores(rng: Rng, calendar: Calendar, stores: int) -> Columns:
    """The online store first; a quarter of the others open while we watch."""
    country = np.concatenate([[0], np.arange(stores - 1) % len(COUNTRIES)])
    nth = np.concatenate([[0], np.arange(stores - 1) // len(COUNTRIES)])
    city = [CITIES[COUNTRIES[c]][n % 6] + f" {n // 6 + 1}" * int(n >= 6) for c, n in zip(country, nth, strict=True)]
    days = (calendar.end - calendar.begin) // DAY_SECONDS
    opened = -rng.integers(200, 6000, stores)
    late = (np.arange(stores) % 4 == 2) & (np.arange(stores) != ONLINE)
    opened = np.where(late, (rng.uniform(0.1, 0.85, stores) * days).astype(np.int64), opened)
    return {
        "store_id": np.array([f"S{number:03d}" for number in range(1, stores + 1)]),
        "city": np.array(["Online", *city[1:]]),
        "country": country,
        "opened_at": calendar.begin + opened * DAY_SECONDS + 9 * 3600,
        "is_online": np.arange(stores) == ONLINE,
    }
