"""Small written training sets with what a model needs to know of them: for tests of training and of gates."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inseam.ir.functions import FunctionRef
from inseam.ir.records import TrainingSetRecord
from inseam.ir.relation import Relation
from inseam.ir.spine import RowsSpine
from inseam.ir.training import GateSpec, LabelSpec, ModelSpec, SplitSpec, Task, TrainingSetSpec, TuneSpec
from inseam.kernel.clock import DAY, parse_instant
from inseam.kernel.frozen import fingerprint
from inseam.kernel.types import DataType, Field, Schema
from inseam.ports.bundle import ViewUse

if TYPE_CHECKING:
    import pyarrow as pa

KEYS = (Field("customer_id", DataType.INT64),)
FEATURES = (
    Field("orders_30d", DataType.INT64),
    Field("spend_30d", DataType.FLOAT64),
    Field("spend_365d", DataType.FLOAT64),
    Field("last_store", DataType.STRING),
    Field("is_member", DataType.BOOL),
)
VIEWS = (ViewUse("spend", "f" * 32, FEATURES),)
_LABELS = {Task.BINARY: DataType.BOOL, Task.MULTICLASS: DataType.STRING, Task.REGRESSION: DataType.FLOAT64}


def write_training_set(directory: Path, task: Task, *, rows: int = 1_500, seed: int = 0) -> TrainingSetRecord:
    """Customers at weekly instants, one label that the features half explain; the newest fifth is the test part."""
    import pyarrow.parquet as pq

    table = _rows(task, rows, seed)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{task.value}-{rows}-{seed}.parquet"
    pq.write_table(table, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    part = table["part"].to_pylist()
    counts = {"train": part.count("train"), "test": part.count("test")}
    return TrainingSetRecord(
        fingerprint=digest[:32],
        name="customers",
        digest=digest,
        path=str(path),
        rows=rows,
        counts=counts,
        snapshots={"sources/orders": 7},
        statistics={},
        built_at=0,
    )


def model_spec(
    function: Callable[..., Any],
    task: Task = Task.BINARY,
    *,
    metric: str | None = None,
    gates: tuple[GateSpec, ...] = (),
    slices: tuple[str, ...] = (),
    params: Mapping[str, Any] | None = None,
    tune: TuneSpec | None = None,
    seed: int = 7,
) -> ModelSpec:
    """A model called ``lapse`` over the sets of `write_training_set`."""
    defaults = {Task.BINARY: "roc_auc", Task.MULTICLASS: "log_loss", Task.REGRESSION: "rmse"}
    reference = FunctionRef.of(function)
    spec = ModelSpec(
        name="lapse",
        training_set=_set_spec(task),
        function=reference,
        task=task,
        metric=metric or defaults[task],
        params=dict(params or {}),
        gates=gates,
        slices=slices,
        tune=tune,
        seed=seed,
        fingerprint="",
    )
    return replace(spec, fingerprint=fingerprint([spec.function, spec.params, spec.tune, spec.seed]))


def _set_spec(task: Task) -> TrainingSetSpec:
    relation = Relation("sources/orders", "ordered_at", Schema((*KEYS, Field("ordered_at", DataType.TIMESTAMP))))
    return TrainingSetSpec(
        name="customers",
        spine=RowsSpine(relation, ("customer_id",)),
        views=(),
        on_demand=(),
        features=FEATURES,
        label=LabelSpec(_LABELS[task], column="label"),
        split=SplitSpec(),
        fingerprint="0" * 32,
    )


def _rows(task: Task, rows: int, seed: int) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    random = np.random.default_rng(seed)
    weeks = np.sort(random.integers(0, 60, rows))
    instants = parse_instant("2024-01-01") + weeks * 7 * DAY
    orders = random.poisson(2.0, rows)
    spend = np.where(orders > 0, random.gamma(2.0, 20.0, rows) * orders, np.nan)
    year = random.gamma(2.0, 200.0, rows)
    store = random.choice(np.array(["north", "south", "web", None], dtype=object), rows, p=[0.4, 0.3, 0.2, 0.1])
    member = random.random(rows) < 0.4
    score = 0.8 * orders - year / 300 + 1.2 * (store == "web") + 0.8 * member + random.normal(0, 1.0, rows)
    ranked = np.quantile(score, [0.4, 0.75])
    labels: dict[Task, Any] = {
        Task.BINARY: score > ranked[0],
        Task.MULTICLASS: np.array(["low", "middle", "high"], dtype=object)[np.searchsorted(ranked, score)],
        Task.REGRESSION: score * 10 + 50,
    }
    return pa.table(
        {
            "customer_id": pa.array(random.integers(0, max(rows // 5, 1), rows), pa.int64()),
            "event_time": pa.array(instants, pa.timestamp("us", tz="UTC")),
            "orders_30d": pa.array(orders, pa.int64()),
            "spend_30d": pa.array(spend, pa.float64(), from_pandas=True),
            "spend_365d": pa.array(year, pa.float64()),
            "last_store": pa.array(store, pa.string()),
            "is_member": pa.array(member, pa.bool_()),
            "label": pa.array(labels[task]),
            "part": pa.array(np.where(weeks < 48, "train", "test")),
        }
    )
