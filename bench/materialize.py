"""Materialization of 3 views x 5 features for every entity, from a Delta table into LMDB, Redis and PostgreSQL.

    python bench/materialize.py [--entities N] [--events N] [--stores lmdb redis postgres]

Each store is written in a process of its own: rows per second of all three views, the greatest memory of the process,
and what the store then holds. A first round writes new rows, a second replaces them all at the next boundary.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from rounds import START_US, measured

from inseam.ir.aggregates import AggregateKind, AggregateSpec
from inseam.ir.relation import Relation
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.clock import DAY, Step
from inseam.kernel.types import DataType, Schema
from inseam.ports.discover import adapter
from inseam.stages.features.materialize import materialize
from inseam.testing.postgres import postgres_server
from inseam.testing.redis import redis_server

SCHEMA = Schema.of([("entity_id", "int64"), ("x", "float64"), ("ts", "timestamp")])
DAYS = 30


def view_of(number: int) -> WindowedAggregate:
    relation = Relation("events", "ts", SCHEMA)
    kinds = (AggregateKind.SUM, AggregateKind.MEAN, AggregateKind.MIN, AggregateKind.MAX, AggregateKind.LAST)
    over = (7 + 7 * number) * DAY
    features = tuple(AggregateSpec(f"v{number}_{kind.value}", kind, DataType.FLOAT64, "x", over=over) for kind in kinds)
    return WindowedAggregate(f"v{number}", relation, ("entity_id",), Step(DAY), 0, features)


def write_events(home: Path, entities: int, events: int) -> None:
    random = np.random.default_rng(3)
    ids = np.concatenate([np.arange(entities), random.integers(0, entities, max(0, events - entities))])
    ts = pa.array(random.integers(START_US, START_US + DAYS * DAY, len(ids))).cast(pa.timestamp("us", "UTC"))
    table = pa.table([ids, pa.array(random.normal(size=len(ids))), ts], names=["entity_id", "x", "ts"])
    adapter("tables", "delta")(home / "tables").append("events", table.to_reader(1 << 16))


def write_store(home: Path, name: str, url: str) -> None:
    """What the process of one store does."""
    make = adapter("online", name)
    store = make(url, namespace="bench") if url else make(home / "online")
    tables = adapter("tables", "delta")(home / "tables")
    engine = adapter("engine", "duckdb")(tables, directory=home / "spill", memory_limit="1GB")
    ledger = adapter("ledger", "sql")(f"sqlite:///{home / name}.db")
    views = [view_of(number) for number in range(3)]
    for day in (DAYS, DAYS + 1):
        begun = time.perf_counter()
        rows = sum(
            materialize(
                view, "0", as_of=START_US + day * DAY, engine=engine, tables=tables, store=store, ledger=ledger
            ).rows
            for view in views
        )
        took = time.perf_counter() - begun
        print(f"{name:10} {'new' if day == DAYS else 'replaced':9} {rows / took:10,.0f} rows/s", flush=True)
    print(f"{name:10} holds {sum(store.tables().values()) / rows:.0f} bytes a row", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entities", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--stores", nargs="+", default=["lmdb", "redis", "postgres"])
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        home, name, url = options.child
        measured(lambda: write_store(Path(home), name, url))
        return
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="inseam-bench-")))
        write_events(home, options.entities, options.events)
        for name in options.stores:
            url = _url(name, stack)
            command = [sys.executable, __file__, "--child", str(home), name, url]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            for line in done.stdout.splitlines():
                print(_told(name, line) if line.startswith("RESULT ") else line, flush=True)


def _url(name: str, stack: ExitStack) -> str:
    if name == "redis":
        return stack.enter_context(redis_server()).url
    return stack.enter_context(postgres_server()) if name == "postgres" else ""


def _told(name: str, line: str) -> str:
    found: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
    return f"{name:10} {found['cpu']:.0f} CPU s, {found['peak_mb']:,.0f} MB at most"


if __name__ == "__main__":
    main()
