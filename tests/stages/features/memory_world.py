"""Builds a training set of 12 features in a process of its own, whose greatest memory it tells."""

from __future__ import annotations

import resource
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from orders_world import RELATION, SPEC, START, TABLE, VIEW, WHEN, Shop

from inseam.adapters.duckdb.engine import DuckdbEngine
from inseam.ir.aggregates import AggregateKind, AggregateSpec
from inseam.ir.spine import SnapshotsSpine
from inseam.kernel.clock import DAY, Step
from inseam.kernel.types import DataType, Field

KINDS = (AggregateKind.SUM, AggregateKind.MEAN, AggregateKind.MAX, AggregateKind.STD)


def main(directory: Path, customers: int, memory: str) -> None:
    """Print the rows of the set and the peak in MB."""
    shop = Shop(directory)
    random = np.random.default_rng(1)
    batch = pa.table(
        {
            "customer_id": np.tile(np.arange(customers), 5),
            "amount": random.normal(size=5 * customers),
            "store": pa.array(["a"] * 5 * customers),
            "ordered_at": pa.array(random.integers(0, 200 * DAY, 5 * customers) + START, WHEN),
            "_ingested_at": pa.nulls(5 * customers, WHEN),
            "_seq": np.arange(5 * customers),
        }
    )
    for _ in range(4):
        shop.tables.append(TABLE, batch.to_reader(50_000))
    specs = tuple(
        AggregateSpec(f"{kind}_{days}d", kind, DataType.FLOAT64, "amount", days * DAY)
        for days in (1, 7, 30)
        for kind in KINDS
    )
    spec = replace(
        SPEC,
        spine=SnapshotsSpine(RELATION, ("customer_id",), Step(5 * DAY), active=60 * DAY),
        views=(replace(VIEW, aggregates=specs),),
        on_demand=(),
        features=tuple(Field(spec.name, DataType.FLOAT64) for spec in specs),
    )
    engine = DuckdbEngine(shop.tables, directory=directory / "work", memory_limit=memory, threads=2)
    record = shop.build(spec, engine)
    sys.stdout.write(f"{record.rows} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
