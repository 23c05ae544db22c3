"""Will this order line come back within 45 days? Asked at the till, of a customer and a product."""

from typing import Any

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
    rows,
)

from .shop import customer, lines, product, product_returns, product_sales, returns, sent_back, spend


@on_demand(product_sales, product_returns)
def comes_back(sold_180d: float, came_back_180d: float) -> float:
    """The share of the product's sales that was sent back, drawn towards the shop's."""
    return (came_back_180d + 2) / (sold_180d + 25)


@on_demand(spend)
def dearness(amount: float, line_amount_365d: float) -> float:
    """This line beside what the customer usually pays for one."""
    return amount / (line_amount_365d + 1)


will_return = TrainingSet(
    "will_return",
    spine=rows(lines, customer, product, columns=["amount", "discount", "payment", "is_online"]),
    features=["amount", "discount", "payment", "is_online", dearness, comes_back, product_returns, sent_back, spend],
    label=Label(count(returns) > 0, ahead="45d"),
    split=Split(test="120d"),
)


@model(
    "send_back",
    will_return,
    metric="roc_auc",
    params={"n_estimators": 150, "num_leaves": 15, "learning_rate": 0.05, "min_child_samples": 100},
    slices=["payment"],
    gates=[at_least("roc_auc", 0.65), beats_champion(), calibration(0.05), no_unseen_features()],
)
def send_back(data: Any, params: dict[str, Any]) -> Any:
    from lightgbm import LGBMClassifier

    learner = LGBMClassifier(**params, n_jobs=1, verbose=-1, deterministic=True, force_row_wise=True)
    return learner.fit(data.X, data.y, categorical_feature=data.categorical)


Endpoint("send_back", send_back)
