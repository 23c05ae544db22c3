"""What is sent back, when, and why."""

import numpy as np

from inseam.testing.retail.assortment import ONLINE
from inseam.testing.retail.calendar import Rng
from inseam.testing.retail.columns import DAY_SECONDS, Columns, Floats, sigmoid, take
from inseam.testing.retail.customers import Customers
from inseam.testing.retail.orders import CLEAN, INVOICE

REASONS = np.array(["size", "changed_mind", "quality", "damaged", "late_delivery"])
REASON_SHARE = np.array([0.46, 0.26, 0.15, 0.08, 0.05])
CATEGORY_ODDS = np.array([0.75, 0.35, -0.10, 0.55, 0.15, -1.10, -1.00])
BASE_ODDS = -3.70


def draw_returns(rng: Rng, customers: Customers, lines: Columns) -> Columns:
    """The lines that come back, by category, customer, channel and payment; faulty lines never do."""
    chance = return_chance(customers, lines) * (lines["fault"] == CLEAN)
    back = take(lines, rng.random(len(chance)) < chance)
    count = len(back["customer"])
    delay = 2 + np.minimum(rng.gamma(2.2, 5.0, count), 43)
    return {
        "order_id": back["order_id"],
        "order_line": back["order_line"],
        "customer": back["customer"],
        "product": back["product"],
        "returned_at": back["ordered_at"] + (delay * DAY_SECONDS).astype(np.int64),
        "amount": back["amount"],
        "reason": np.searchsorted(np.cumsum(REASON_SHARE)[:-1], rng.random(count), side="right"),
    }


def return_chance(customers: Customers, lines: Columns) -> Floats:
    """The probability that each line comes back."""
    is_online = lines["store"] == ONLINE
    odds = BASE_ODDS + CATEGORY_ODDS[lines["category"]] + customers.returning[lines["customer"]]
    odds += 0.9 * is_online + 0.5 * (lines["payment"] == INVOICE) + 1.2 * lines["discount"]
    odds += 0.25 * np.log(lines["unit_price"] / 50)
    return sigmoid(odds)
