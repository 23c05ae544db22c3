"""Simulate a retailer month by month, in memory of one month, and write its files."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from inseam.testing.retail import files
from inseam.testing.retail.assortment import Assortment, make_assortment
from inseam.testing.retail.calendar import Calendar, Month, make_calendar
from inseam.testing.retail.columns import Columns, join, size, take
from inseam.testing.retail.customers import Customers, annoyed, first_mood, make_customers, next_mood
from inseam.testing.retail.orders import FAULTS, RAGGED_EVERY, draw_faults, draw_lines, draw_orders
from inseam.testing.retail.returns import draw_returns
from inseam.testing.retail.sessions import draw_sessions

Format: TypeAlias = Literal["csv", "parquet"]
Progress: TypeAlias = Callable[[str, int, int], None]
FOLDERS = ("orders", "returns", "web_sessions")
TABLES = ("customers", "products", "stores", "promotions", *FOLDERS)


@dataclass(frozen=True)
class Retail:
    """What was written: a path and a count of rows for each table, the faults by kind, and when behaviour shifts."""

    directory: Path
    customers: Path
    products: Path
    stores: Path
    promotions: Path
    orders: Path
    returns: Path
    web_sessions: Path
    rows: Mapping[str, int]
    dirty: Mapping[str, int]
    start: datetime
    end: datetime
    shift_at: datetime
    scale: float
    seed: int
    format: Format


@dataclass(frozen=True, eq=False)
class World:
    """All that is drawn before the first day."""

    calendar: Calendar
    assortment: Assortment
    customers: Customers


@dataclass(frozen=True, eq=False)
class Sales:
    """What one month brings."""

    month: Month
    lines: Columns
    returns: Columns
    sessions: Columns


def simulate(
    directory: Path,
    *,
    scale: float = 1.0,
    seed: int = 7,
    start: str | date = "2023-01-01",
    days: int = 730,
    shift_at: int = 640,
    format: Format = "csv",
    progress: Progress | None = None,
) -> Retail:
    """Write a clothing retailer's files under `directory`; the same arguments write the same bytes.

    `scale` 1 has about 20,000 customers and 600,000 order lines; what each customer does does not depend on it.
    From day `shift_at` on demand, discounts, new customers and the ways of lapsing change; past the end means never.
    `format` is that of the orders. `progress` gets each month's name once written, the months done, and all.
    """
    check_arguments(scale, days, shift_at, format)
    world = make_world(seed, scale, np.datetime64(start, "D"), days, shift_at)
    directory = Path(directory)
    make_folders(directory, world.calendar, format)
    rows = write_dimensions(directory, world)
    dirty = dict.fromkeys(FAULTS, 0)
    months = world.calendar.months
    for done, sales in enumerate(draw_months(world, seed, format), start=1):
        for table, count in write_month(directory, world, sales, format).items():
            rows[table] += count
        for fault, code in FAULTS.items():
            dirty[fault] += int((sales.lines["fault"] == code).sum())
        if progress:
            progress(sales.month.name, done, len(months))
    return Retail(
        directory=directory,
        customers=directory / "customers.csv",
        products=directory / "products.csv",
        stores=directory / "stores.csv",
        promotions=directory / "promotions.csv",
        orders=directory / "orders",
        returns=directory / "returns",
        web_sessions=directory / "web_sessions",
        rows=rows,
        dirty=dirty,
        start=datetime.fromtimestamp(world.calendar.begin, UTC),
        end=datetime.fromtimestamp(world.calendar.end, UTC),
        shift_at=datetime.fromtimestamp(world.calendar.shift_at, UTC),
        scale=scale,
        seed=seed,
        format=format,
    )


def check_arguments(scale: float, days: int, shift_at: int, format: str) -> None:
    """Refuse what cannot be simulated, before a file is written."""
    if not 0 < scale < float("inf"):
        raise ValueError(f"scale must be a positive number, found {scale}")
    if days < 1:
        raise ValueError(f"days must be at least 1, found {days}")
    if shift_at < 0:
        raise ValueError(f"shift_at counts days from the start and can't be negative, found {shift_at}")
    if format not in ("csv", "parquet"):
        raise ValueError(f"format must be 'csv' or 'parquet', found {format!r}")


def make_world(seed: int, scale: float, start: np.datetime64, days: int, shift_at: int) -> World:
    """Draw calendar, range, stores and customers, each from its own stream of chance."""
    calendar = make_calendar(np.random.default_rng([seed, 1]), start, days, shift_at)
    products, stores = max(70, round(1500 * scale**0.5)), max(7, round(40 * scale**0.5))
    assortment = make_assortment(np.random.default_rng([seed, 2]), calendar, products, stores)
    customers = make_customers(np.random.default_rng([seed, 3]), calendar, assortment, max(20, round(20_000 * scale)))
    return World(calendar, assortment, customers)


def make_folders(directory: Path, calendar: Calendar, format: Format) -> None:
    """Make the folders; refuse months that this run would not overwrite, as readers would mix them with ours."""
    endings = {"orders": format, "returns": "jsonl", "web_sessions": "parquet"}
    for folder, ending in endings.items():
        (directory / folder).mkdir(parents=True, exist_ok=True)
        ours = {f"{month.name}.{ending}" for month in calendar.months}
        found = {path.name for path in (directory / folder).iterdir() if re.match(r"\d{4}-\d\d\.", path.name)}
        if found - ours:
            raise FileExistsError(
                f"{directory / folder} holds {min(found - ours)} of another simulation: empty it first"
            )


def draw_months(world: World, seed: int, format: Format) -> Iterator[Sales]:
    """Month after month: mood, orders, lines, faults, returns, visits. Returns wait until their month comes."""
    calendar, assortment, customers = world.calendar, world.assortment, world.customers
    mood = first_mood(np.random.default_rng([seed, 4]), calendar, customers)
    waiting: list[Columns] = []
    orders_before = returns_before = sessions_before = 0
    for number, month in enumerate(calendar.months):
        rng = np.random.default_rng([seed, 5, number])
        mood = next_mood(rng, calendar, month, customers, mood)
        orders = draw_orders(rng, calendar, assortment, customers, mood, month)
        lines = draw_lines(rng, calendar, assortment, customers, orders, month)
        lines["order_id"] = 1 + orders_before + lines["order"]
        is_ragged = format == "csv" and number % RAGGED_EVERY == 1
        lines["fault"] = draw_faults(rng, lines, is_ragged=is_ragged)
        pending = join([*waiting, draw_returns(rng, customers, lines)])
        is_due = pending["returned_at"] < month.end
        waiting = [take(pending, ~is_due)]
        returns = take(pending, is_due)
        returns = take(returns, np.argsort(returns["returned_at"], kind="stable"))
        returns["return_id"] = 1 + returns_before + np.arange(size(returns))
        sessions = draw_sessions(rng, calendar, customers, mood, orders, month)
        sessions["session_id"] = 1 + sessions_before + np.arange(size(sessions))
        mood = annoyed(mood, returns["customer"], len(customers))
        orders_before += size(orders)
        returns_before += size(returns)
        sessions_before += size(sessions)
        yield Sales(month, lines, returns, sessions)


def write_dimensions(directory: Path, world: World) -> dict[str, int]:
    """Write the tables that have no month; rows by table, 0 for those that have."""
    files.write_customers(directory / "customers.csv", world.customers.seen)
    files.write_products(directory / "products.csv", world.assortment.products)
    files.write_stores(directory / "stores.csv", world.assortment.stores)
    files.write_promotions(directory / "promotions.csv", world.calendar.promotions)
    tables = (world.customers.seen, world.assortment.products, world.assortment.stores, world.calendar.promotions)
    return dict(zip(TABLES, [*map(size, tables), 0, 0, 0], strict=True))


def write_month(directory: Path, world: World, sales: Sales, format: Format) -> dict[str, int]:
    """Write one month's three files; rows by table."""
    name, customer_ids = sales.month.name, world.customers.seen["customer_id"]
    promotion_ids = world.calendar.promotions["promotion_id"]
    files.write_orders(
        directory / "orders" / f"{name}.{format}", sales.lines, world.assortment, customer_ids, promotion_ids
    )
    files.write_returns(directory / "returns" / f"{name}.jsonl", sales.returns, world.assortment, customer_ids)
    files.write_sessions(directory / "web_sessions" / f"{name}.parquet", sales.sessions, customer_ids)
    return dict(zip(FOLDERS, map(size, (sales.lines, sales.returns, sales.sessions)), strict=True))
