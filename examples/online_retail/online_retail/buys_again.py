"""Will this customer buy again within 60 days? Asked every week of everyone who has bought."""

from datetime import datetime

import numpy as np

from inseam import (
    Endpoint,
    Label,
    Split,
    TrainingSet,
    at_least,
    beats_champion,
    calibration,
    count,
    model,
    no_unseen_features,
    on_demand,
    snapshots,
)

from .trade import LONDON, buying, cancelling, customer, purchases

DAY = np.timedelta64(1, "D")
AMOUNTS = buying.select(
    "invoices_30d",
    "invoices_90d",
    "invoices",
    "spent_30d",
    "spent_90d",
    "spent",
    "articles_90d",
    "line_quantity",
    "dearest",
)


@on_demand(buying)
def days_since(bought_last: datetime, event_time: datetime) -> float:
    """Days since the last purchase: recency."""
    return (event_time - bought_last) / DAY


@on_demand(buying)
def days_between(bought_first: datetime, bought_last: datetime, invoices: float) -> float:
    """The customer's usual time between purchases; NULL before the second."""
    return (bought_last - bought_first) / DAY / np.where(invoices > 1, invoices - 1, np.nan)


@on_demand(days_since, days_between)
def overdue(days_since: float, days_between: float) -> float:
    """Recency in units of the customer's own rhythm."""
    return days_since / (days_between + 1)


buys_again = TrainingSet(
    "buys_again",
    spine=snapshots(customer, every="7d", timezone=LONDON),
    features=[AMOUNTS, cancelling, days_since, days_between, overdue],
    label=Label(count(purchases) > 0, ahead="60d"),
    split=Split(fraction=0.25),
)


@model(
    "buys_again",
    buys_again,
    metric="roc_auc",
    params={"max_iter": 120, "learning_rate": 0.05, "max_leaf_nodes": 8, "min_samples_leaf": 100},
    gates=[at_least("roc_auc", 0.70), beats_champion(), calibration(0.10), no_unseen_features()],
)
def learn(data, params):
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(**params).fit(data.X, data.y)


Endpoint("buys_again", learn, unknown="reject")
