"""Who will not order again within 60 days? Asked of every active customer, every four weeks."""

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
    latency,
    model,
    no_unseen_features,
    on_demand,
    slice_gap,
    snapshots,
)

from .shop import browsing, customer, orders, profile, sent_back, spend


@on_demand(spend)
def pace(orders_30d: float, orders_365d: float) -> float:
    """Orders of the last month beside those of a usual month."""
    return orders_30d / (orders_365d / 12 + 1)


will_lapse = TrainingSet(
    "will_lapse",
    spine=snapshots(customer, every="28d", active="180d"),
    features=[spend, browsing, sent_back, profile, pace],
    label=Label(count(orders) == 0, ahead="60d"),
    split=Split(test="120d"),
)


@model(
    "lapse",
    will_lapse,
    metric="roc_auc",
    params={"n_estimators": 200, "max_depth": 4, "learning_rate": 0.05},
    slices=["country"],
    gates=[
        at_least("roc_auc", 0.70),
        beats_champion(),
        calibration(0.10),
        slice_gap("country", 0.10),
        latency(at_most_ms=10),
        no_unseen_features(),
    ],
)
def lapse(data: Any, params: dict[str, Any]) -> Any:
    from xgboost import XGBClassifier

    return XGBClassifier(**params, n_jobs=1, enable_categorical=True, feature_types=data.feature_types).fit(
        data.X, data.y
    )


Endpoint("lapse", lapse)
