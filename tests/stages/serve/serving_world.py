"""A small endpoint to serve in tests: two views, an on-demand feature, a logistic model, rows in memory or in LMDB."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from inseam.ir.aggregates import AggregateKind, AggregateSpec
from inseam.ir.encoding import EncodedColumn, Encoding
from inseam.ir.functions import FunctionRef
from inseam.ir.on_demand import OnDemandSpec
from inseam.ir.relation import Relation
from inseam.ir.training import EndpointSpec, Task
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.clock import DAY, Step
from inseam.kernel.types import DataType, Field, Schema
from inseam.ports.bundle import Bundle, BundleManifest, ViewUse
from inseam.stages.serve.endpoint import Champion, ServedEndpoint

F, N, S, T, D = DataType.FLOAT64, DataType.INT64, DataType.STRING, DataType.TIMESTAMP, DataType.DATE
ORDERS = Relation(
    "sources/orders", "ordered_at", Schema.of([("customer_id", S), ("ordered_at", T), ("amount", F), ("store", S)])
)
SPEND = WindowedAggregate(
    "spend",
    ORDERS,
    ("customer_id",),
    Step(DAY),
    0,
    (
        AggregateSpec("orders_30d", AggregateKind.COUNT, N, over=30 * DAY),
        AggregateSpec("spend_30d", AggregateKind.SUM, F, "amount", over=30 * DAY),
        AggregateSpec("last_store", AggregateKind.LAST, S, "store"),
        AggregateSpec("last_order", AggregateKind.MAX, T, "ordered_at"),
    ),
)
VISITS = WindowedAggregate(
    "visits",
    ORDERS,
    ("customer_id",),
    Step(DAY),
    0,
    (AggregateSpec("visits_7d", AggregateKind.COUNT, N, over=7 * DAY),),
)
KEYS = (Field("customer_id", S),)
INPUTS = (Field("basket_value", F), Field("coupon", S), Field("first_seen", D))


def basket_ratio(basket_value: Any, spend_30d: Any) -> Any:
    return basket_value / (spend_30d + 1.0)


ON_DEMAND = OnDemandSpec(
    "basket_ratio", F, FunctionRef.of(basket_ratio), (Field("spend_30d", F),), (Field("basket_value", F),)
)
_FEATURES = (*SPEND.schema, *VISITS.schema, Field("basket_ratio", F), *INPUTS)
ENCODING = Encoding(
    tuple(
        EncodedColumn(f.name, f.type, {"last_store": ("north", "south"), "coupon": ("spring",)}.get(f.name, ()))
        for f in _FEATURES
    )
)


class Logistic:
    """Sums the columns one by one, so that a row has the same bits in any company."""

    def __init__(self, bias: float = 0.0, *, classes: int = 2, is_row_independent: bool = True) -> None:
        self.is_row_independent = is_row_independent
        self.bias = bias
        self.classes = classes
        self.batches: list[int] = []

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        self.batches.append(len(matrix))
        total = np.full(len(matrix), self.bias)
        for place in range(matrix.shape[1]):
            total = total + np.clip(np.nan_to_num(matrix[:, place]), -100, 100) * (-1) ** place * 1e-2 / (place + 1)
        one = np.array([1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, value)))) for value in total.tolist()])
        if self.classes == 2:
            return one
        rest = (1.0 - one) / (self.classes - 1)
        return np.stack([one] + [rest] * (self.classes - 1), axis=1)


def bundle(bias: float = 0.0, task: Task = Task.BINARY, **options: Any) -> Bundle:
    classes: tuple[Any, ...] = {Task.BINARY: (False, True), Task.MULTICLASS: ("a", "b", "c"), Task.REGRESSION: ()}[task]
    manifest = BundleManifest(
        model="lapse",
        format="xgboost",
        task=task,
        classes=classes,
        keys=KEYS,
        views=(
            ViewUse("spend", "f1", tuple(SPEND.schema)),
            ViewUse("visits", "f2", tuple(VISITS.schema)),
        ),
        inputs=INPUTS,
        on_demand=(ON_DEMAND,),
        encoding=ENCODING,
        training_set="ts",
        training_set_digest="d",
    )
    predictor = Logistic(bias, classes=max(2, len(classes)), **options)
    return Bundle(manifest, f"digest-{bias}", predictor, {"basket_ratio": basket_ratio})


def spec(name: str = "lapse", **changes: Any) -> EndpointSpec:
    options: dict[str, Any] = {
        "model": "lapse",
        "keys": KEYS,
        "views": (SPEND, VISITS),
        "on_demand": (ON_DEMAND,),
        "features": _FEATURES,
        "inputs": INPUTS,
        "unknown": "missing",
        "defaults": {},
        "max_rows": 50,
        "max_staleness": None,
        "fingerprint": "e1",
    }
    return EndpointSpec(name=name, **(options | changes))


@dataclass
class Held:
    """A champion that the test sets."""

    current: Champion | None
    problem: str | None = None

    def start(self) -> None: ...

    def stop(self) -> None: ...


BOUNDARY = 1_790_035_200_000_000
CUSTOMERS: dict[str, dict[str, Any]] = {
    "c1": {
        "orders_30d": 3.0,
        "spend_30d": 41.25,
        "last_store": "north",
        "last_order": BOUNDARY - DAY,
        "visits_7d": 5.0,
    },
    "c2": {"orders_30d": 1.0, "spend_30d": 0.1, "last_store": None, "last_order": None, "visits_7d": 0.0},
    "c3": {"orders_30d": 7.0, "spend_30d": 99.5, "last_store": "south", "last_order": BOUNDARY - 5},
}
"""c3 has no row in `visits`."""


class MemoryReader:
    """Rows of `CUSTOMERS`; a missing row reads as the aggregates of no row."""

    def read(self, entities: Any, *, at: int) -> Any:
        rows = [CUSTOMERS.get(entity[0], {}) for entity in entities]
        empty = {"orders_30d": 0.0, "spend_30d": math.nan, "last_store": None, "last_order": None, "visits_7d": 0.0}
        columns: dict[str, np.ndarray] = {}
        for name, nothing in empty.items():
            values = [row.get(name, nothing) for row in rows]
            if name == "last_store":
                columns[name] = np.array(values, object)
            elif name == "last_order":
                columns[name] = np.array([-(2**63) if v is None else v for v in values], np.int64).view(
                    "datetime64[us]"
                )
            else:
                columns[name] = np.array(values, np.float64)
        missing = {
            "spend": np.array([not row for row in rows]),
            "visits": np.array(["visits_7d" not in row for row in rows]),
        }
        return SimpleNamespace(
            columns=columns,
            boundaries={view: np.full(len(rows), BOUNDARY, np.int64) for view in missing},
            versions={view: np.full(len(rows), 7, np.int64) for view in missing},
            is_stale={view: np.array([entity[0] == "c2" for entity in entities]) for view in missing},
            is_missing=missing,
        )


def endpoint(champion: Bundle | None = None, **changes: Any) -> ServedEndpoint:
    told = spec(**changes)
    return ServedEndpoint(told, Held(Champion(champion or bundle(), 1, told, MemoryReader())))


ROW = {"customer_id": "c1", "basket_value": 12.5, "coupon": None, "first_seen": "2026-01-31"}

PREDICT = "/endpoints/lapse/predict"
