"""Fresh features: what a step costs for each row and each entity, and a read for windows with few and many events.

Rows come from memory, as the table would give them; tiles go to LMDB. Figures are medians of processor time: without
waiting for the disk, or for other processes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa

from inseam.adapters.lmdb.store import LmdbStore
from inseam.ir.aggregates import AggregateKind, AggregateSpec
from inseam.ir.relation import Relation
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.clock import DAY, HOUR, SECOND, Step
from inseam.kernel.types import DataType, Schema
from inseam.stages.features.fetch import FeatureReader
from inseam.stages.features.freshen import Freshener

SCHEMA = Schema.of([("customer", "int64"), ("at", "timestamp"), ("amount", "float64")])
STAMP = pa.timestamp("us", tz="UTC")
KINDS = (AggregateKind.COUNT, AggregateKind.SUM, AggregateKind.MEAN, AggregateKind.MAX, AggregateKind.STD)
FEATURES = tuple(
    AggregateSpec(
        f"{kind}_{over}", kind, DataType.INT64 if kind is AggregateKind.COUNT else DataType.FLOAT64, "amount", over
    )
    for over in (HOUR, DAY, 30 * DAY)
    for kind in KINDS
)
VIEW = WindowedAggregate("spend", Relation("sources/orders", "at", SCHEMA), ("customer",), Step(SECOND), 0, FEATURES)
START = 20_000 * DAY


@dataclass
class Rows:
    """Stands for table and engine: gives the rows of the next step."""

    table: pa.Table
    version: int = 0

    def scan(self, *_: object, **__: object) -> pa.RecordBatchReader:
        return self.table.to_reader()

    def snapshot(self, *_: object) -> SimpleNamespace:
        return SimpleNamespace(version=self.version)


def rows(customers: np.ndarray, at: np.ndarray, known: int, rng: np.random.Generator) -> pa.Table:
    columns = {
        "customer": pa.array(customers),
        "at": pa.array(at).cast(STAMP),
        "amount": pa.array(rng.gamma(2.0, 20.0, at.size)),
        "_ingested_at": pa.array(np.full(at.size, known)).cast(STAMP),
        "_seq": pa.array(np.arange(at.size)),
    }
    return pa.table(columns)


def steps(store: LmdbStore, events: int, customers: int, rounds: int) -> None:
    """Steps of 2,000 rows, on entities that have ``events`` each."""
    rng = np.random.default_rng(3)
    source = Rows(
        rows(np.repeat(np.arange(customers), events), START - rng.integers(1, 30 * DAY, customers * events), START, rng)
    )
    writer = Freshener(VIEW, f"n{events}", engine=source, tables=source, store=store)  # type: ignore[arg-type]
    writer.step(START, 0)
    times = []
    for second in range(1, rounds + 1):
        now = START + second * SECOND
        source.version = second
        source.table = rows(rng.integers(0, customers, 2_000), now - rng.integers(1, SECOND, 2_000), now, rng)
        began = time.process_time()
        done = writer.step(now, 0)
        times.append(time.process_time() - began)
    median = float(np.median(times))
    print(
        f"step of 2,000 rows, {done.entities:5} entities with {events:7,} events each: {median * 1e3:7.1f} ms, "
        f"{median / 2_000 * 1e6:6.1f} us a row, {median / done.entities * 1e6:7.1f} us an entity"
    )
    reader = FeatureReader(store, [(VIEW, f"n{events}")], Schema.of([("customer", "int64")]), fresh=["spend"])
    took = []
    for _ in range(300):
        began = time.process_time()
        reader.one({"customer": int(rng.integers(customers))}, at=now)
        took.append(time.process_time() - began)
    p50, p99 = np.percentile(took, [50, 99]) * 1e6
    print(f"read of {len(FEATURES)} features, 3 windows, {events:7,} events: p50 {p50:7.0f} us, p99 {p99:7.0f} us")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="steps, of which the median counts")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        store = LmdbStore(Path(home) / "online")
        for events, customers in ((10, 2_000), (1_000, 500), (100_000, 4)):
            steps(store, events, customers, options.rounds)
        store.close()


if __name__ == "__main__":
    main()
