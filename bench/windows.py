"""A training set's windowed aggregates: sum, count, mean and max over 1, 7 and 30 days, Delta in, Parquet out.

    python bench/windows.py [--rows N] [--skew S] [--rounds N] [--memory SIZE] [--peers DIR]

A tenth as many spine rows as events. Beside ours: DuckDB by prefix sums and as-of joins (without max), polars' rolling
windows where it is installed, and with DIR (a folder that holds ``w_peers.py``) the hand-written pass in C, all from
plain Parquet. Targets: half the CPU of the best engine query, 2.5 times the hand-written pass.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rounds import DAY_US, START_US, compete, entity_ids, finish_imports, measured

DAYS = (1, 7, 30)
STAMP = pa.timestamp("us", tz="UTC")


def write_data(folder: Path, rows: int, skew: float) -> None:
    from inseam.adapters.delta.tables import DeltaTables

    random = np.random.default_rng(42)
    peers = folder / "data" / "w_bench"
    peers.mkdir(parents=True)
    at = np.sort(random.integers(0, 365 * DAY_US, rows)) + START_US
    amount = np.round(random.lognormal(3, 1, rows), 2)
    events = pa.table({"customer_id": entity_ids(random, rows, skew), "ts": at, "amount": amount})
    pq.write_table(events, peers / "events.parquet", row_group_size=122_880)
    reads = {
        "customer_id": entity_ids(random, rows // 10, skew),
        "ts": random.integers(0, 365 * DAY_US, rows // 10) + START_US,
    }
    pq.write_table(pa.table(reads), peers / "spine.parquet", row_group_size=122_880)
    spine = pa.table({"customer_id": reads["customer_id"], "event_time": pa.array(reads["ts"]).cast(STAMP)})
    pq.write_table(spine, folder / "spine.parquet", row_group_size=122_880)
    ours = events.set_column(1, "ts", events["ts"].cast(STAMP))
    ours = ours.append_column("_ingested_at", pa.nulls(rows, STAMP)).append_column("_seq", pa.array(np.arange(rows)))
    DeltaTables(folder / "tables").append("sources/events", ours.to_reader(122_880))


def inseam(folder: Path, memory: str) -> None:
    finish_imports()
    import inseam.adapters.duckdb.build
    import inseam.adapters.duckdb.engine
    from inseam.adapters.delta.tables import DeltaTables
    from inseam.ir.aggregates import AggregateKind, AggregateSpec, result_type
    from inseam.ir.relation import Relation
    from inseam.ir.windows import WindowedAggregate
    from inseam.kernel.clock import Step
    from inseam.kernel.types import DataType, Schema

    schema = Schema.of([("customer_id", "int64"), ("ts", "timestamp"), ("amount", "float64")])
    kinds = (AggregateKind.SUM, AggregateKind.COUNT, AggregateKind.MEAN, AggregateKind.MAX)
    specs = tuple(
        AggregateSpec(f"{kind}_{days}d", kind, result_type(kind, DataType.FLOAT64), "amount", days * DAY_US)
        for days in DAYS
        for kind in kinds
    )
    relation = Relation("sources/events", "ts", schema)
    view = WindowedAggregate("spend", relation, ("customer_id",), Step(0), 0, specs)

    def work() -> None:
        tables = DeltaTables(folder / "tables")
        engine = inseam.adapters.duckdb.engine.DuckdbEngine(tables, directory=folder / "spill", memory_limit=memory)
        file = pq.ParquetFile(folder / "spine.parquet", pre_buffer=False)
        spine = pa.RecordBatchReader.from_batches(file.schema_arrow, file.iter_batches(122_880))
        rows = engine.features(spine, [view])
        with pq.ParquetWriter(folder / "ours.parquet", rows.schema, use_dictionary=False) as writer:
            for batch in rows:
                writer.write_batch(batch)

    measured(work)


def duckdb_prefix(folder: Path) -> None:
    import duckdb

    events, spine = folder / "data/w_bench/events.parquet", folder / "data/w_bench/spine.parquet"

    def window(days: int) -> str:
        total = f"coalesce(h.total, 0) - coalesce(l{days}.total, 0)"
        count = f"coalesce(h.n, 0) - coalesce(l{days}.n, 0)"
        some = f"CASE WHEN {count} > 0 THEN"
        return f"{some} {total} END AS sum_{days}, {count} AS n_{days}, {some} ({total}) / ({count}) END AS mean_{days}"

    def work() -> None:
        connection = duckdb.connect()
        connection.execute(
            f"CREATE TEMP TABLE p AS SELECT customer_id, ts, sum(amount) OVER w AS total, row_number() OVER w AS n"
            f" FROM '{events}' WINDOW w AS (PARTITION BY customer_id ORDER BY ts ROWS UNBOUNDED PRECEDING)"
        )
        joins = " ".join(
            f"ASOF LEFT JOIN p l{days} ON s.customer_id = l{days}.customer_id AND s.ts - {days * DAY_US} > l{days}.ts"
            for days in DAYS
        )
        connection.execute(
            f"COPY (SELECT s.customer_id, s.ts, {', '.join(map(window, DAYS))} FROM '{spine}' s ASOF LEFT JOIN p h"
            f" ON s.customer_id = h.customer_id AND s.ts > h.ts {joins}) TO '{folder / 'duckdb.parquet'}'"
        )

    measured(work)


def polars_rolling(folder: Path) -> None:
    import polars as pl

    def work() -> None:
        events = pl.scan_parquet(folder / "data/w_bench/events.parquet").with_columns(is_spine=pl.lit(False))
        spine = pl.scan_parquet(folder / "data/w_bench/spine.parquet").with_columns(
            amount=pl.lit(None, pl.Float64), is_spine=pl.lit(True)
        )
        both = pl.concat([events, spine.select("customer_id", "ts", "amount", "is_spine")])
        both = both.sort("customer_id", "ts").collect()
        parts = [both.filter("is_spine").select("customer_id", "ts")]
        cell = pl.col("amount")
        for days in DAYS:
            rolled = both.rolling("ts", period=f"{days * DAY_US}i", closed="left", group_by="customer_id").agg(
                cell.sum().alias(f"sum_{days}"), cell.count().alias(f"n_{days}"),
                cell.mean().alias(f"mean_{days}"), cell.max().alias(f"max_{days}"),
            )  # fmt: skip
            parts.append(rolled.filter(both["is_spine"]).drop("customer_id", "ts"))
        pl.concat(parts, how="horizontal").write_parquet(folder / "polars.parquet")

    measured(work)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--skew", type=float, default=0.0, help="exponent of the zipf distribution of customers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", default="2GB")
    parser.add_argument("--peers", type=Path, help="folder of w_peers.py")
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        name, folder = options.run[0], Path(options.run[1])
        {"inseam": lambda: inseam(folder, options.memory), "duckdb": lambda: duckdb_prefix(folder),
         "polars": lambda: polars_rolling(folder)}[name]()  # fmt: skip
        return
    with tempfile.TemporaryDirectory(prefix="bench-windows-") as name:
        folder = Path(name)
        write_data(folder, options.rows, options.skew)
        own = [sys.executable, __file__, "--memory", options.memory, "--run"]
        commands = {"inseam": [*own, "inseam", name], "DuckDB, prefix sums": [*own, "duckdb", name]}
        if importlib.util.find_spec("polars"):
            commands["polars, rolling"] = [*own, "polars", name]
        else:
            print("polars is not installed: left out")
        if options.peers:
            for peer in ("limit", "limit_stream"):
                commands[f"C, {peer}"] = [sys.executable, str(options.peers / "w_peers.py"), peer, "bench"]
        print(f"{options.rows:,} events, {options.rows // 10:,} spine rows, skew {options.skew}")
        compete(commands, options.rounds, {"BASELINE_ROOT": name})


if __name__ == "__main__":
    main()
