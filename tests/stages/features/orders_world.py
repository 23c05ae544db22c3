"""A small shop on real adapters, for tests of this room and for the processes that they start."""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from inseam.adapters.delta.tables import DeltaTables
from inseam.adapters.duckdb.engine import DuckdbEngine
from inseam.adapters.sql.ledger import SqlLedger
from inseam.ir.aggregates import AggregateKind, AggregateSpec
from inseam.ir.functions import FunctionRef
from inseam.ir.on_demand import OnDemandSpec
from inseam.ir.relation import Relation
from inseam.ir.spine import SnapshotsSpine
from inseam.ir.training import LabelSpec, SplitSpec, TrainingSetSpec
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.clock import DAY, Step
from inseam.kernel.types import DataType, Field, Schema
from inseam.ports.artifacts import Artifacts
from inseam.stages.features.training_set import build

TABLE = "sources/orders"
START = 19_000 * DAY
DAYS = 200
ORDERS = Schema.of([("customer_id", "int64"), ("amount", "float64"), ("store", "string"), ("ordered_at", "timestamp")])
RELATION = Relation(TABLE, "ordered_at", ORDERS)
WHEN = pa.timestamp("us", tz="UTC")


def orders(customers: int = 12, seed: int = 1, days: int = DAYS) -> list[tuple[int, float | None, str, int]]:
    """(customer, amount, store, instant), in the order of their instants."""
    draw = random.Random(seed)
    rows = [
        (
            customer,
            draw.choice([None, float(draw.randint(1, 50))]),
            draw.choice("ab"),
            START + draw.randrange(days * DAY),
        )
        for customer in range(customers)
        for _ in range(draw.randint(1, 20))
    ]
    return sorted(rows, key=lambda row: row[3])


def arrow(rows: list[tuple[int, float | None, str, int]], load: int = 0) -> pa.RecordBatchReader:
    columns = list(zip(*rows, strict=True))
    table = pa.table(
        {
            "customer_id": pa.array(columns[0], pa.int64()),
            "amount": pa.array(columns[1], pa.float64()),
            "store": pa.array(columns[2], pa.string()),
            "ordered_at": pa.array(columns[3], WHEN),
            "_ingested_at": pa.nulls(len(rows), WHEN),
            "_seq": pa.array(np.arange(len(rows)) + (load << 40)),
        }
    )
    return table.to_reader()


def ratio(n_30d: np.ndarray, spend_30d: np.ndarray) -> np.ndarray:
    return spend_30d / n_30d


def fails(n_30d: np.ndarray, spend_30d: np.ndarray) -> np.ndarray:
    return np.array([1 // 0] * len(n_30d))


def count(name: str, **more: object) -> AggregateSpec:
    return AggregateSpec(name, AggregateKind.COUNT, DataType.INT64, **more)  # type: ignore[arg-type]


VIEW = WindowedAggregate(
    "spend",
    RELATION,
    ("customer_id",),
    Step(DAY),
    0,
    (
        count("n_30d", over=30 * DAY),
        AggregateSpec("spend_30d", AggregateKind.SUM, DataType.FLOAT64, "amount", 30 * DAY),
        AggregateSpec("last_store", AggregateKind.LAST, DataType.STRING, "store"),
    ),
)
RATIO = OnDemandSpec(
    "ratio",
    DataType.FLOAT64,
    FunctionRef.of(ratio),
    (Field("n_30d", DataType.INT64), Field("spend_30d", DataType.FLOAT64)),
    (),
)
FEATURES = (
    Field("n_30d", DataType.INT64),
    Field("spend_30d", DataType.FLOAT64),
    Field("last_store", DataType.STRING),
    Field("ratio", DataType.FLOAT64),
)


def forward(aggregate: AggregateSpec, ahead: int) -> WindowedAggregate:
    return WindowedAggregate("label", RELATION, ("customer_id",), Step(0), 0, (aggregate,), ahead)


SPEC = TrainingSetSpec(
    name="lapse",
    spine=SnapshotsSpine(RELATION, ("customer_id",), Step(7 * DAY), active=90 * DAY),
    views=(VIEW,),
    on_demand=(RATIO,),
    features=FEATURES,
    label=LabelSpec(DataType.BOOL, forward(count("label_value"), 21 * DAY), "==", 0),
    split=SplitSpec(fraction=0.25),
    fingerprint="lapse-1",
)


@dataclass
class Shop:
    """The adapters of one project under a directory."""

    directory: Path

    def __post_init__(self) -> None:
        self.tables = DeltaTables(self.directory / "tables")
        self.engine = DuckdbEngine(self.tables, directory=self.directory / "work", memory_limit="512MB")
        self.ledger = SqlLedger(f"sqlite:///{self.directory}/ledger.db")

    def build(self, spec: TrainingSetSpec = SPEC, engine: object = None, **more: object):
        return build(
            spec,
            engine=engine or self.engine,  # type: ignore[arg-type]
            tables=self.tables,
            ledger=self.ledger,
            artifacts=Artifacts(self.directory / "sets"),
            **more,  # type: ignore[arg-type]
        )


def main(directory: str) -> None:
    """Say when everything is imported, build, say the digest."""
    shop = Shop(Path(directory))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdout.write(shop.build().digest + "\n")
    sys.stdout.flush()
