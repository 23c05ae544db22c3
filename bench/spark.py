"""The work of ``windows.py`` on Spark: ours beside the same query written by hand, and beside our DuckDB engine.

    python bench/spark.py [--rows N] [--spine N] [--skew S] [--rounds N] [--cores N] [--memory SIZE]

Delta and a spine's Parquet in, Parquet out. By hand it is RANGE windows over the union of spine and events: one
exchange, one sort, three windows; unlike ours it does not give the spine's order back. Each runs in a process of its
own that has done the work once before, since a cluster's JVM is warm. CPU is that of all processes: Spark, its Python
workers, the driver. Target: at most 1.2 times the query by hand.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from race import STAMP, drawn, write_delta, write_parquet
from rounds import DAY_US
from windows import DAYS, views

Work = Callable[[Path], Any]


def write(folder: Path, options: argparse.Namespace) -> None:
    events = pa.schema([("customer_id", pa.int64()), ("ts", STAMP), ("amount", pa.float64())])
    write_delta(folder, "sources/events", events, drawn(events, options.rows, options.skew, 42, in_order=True))
    spine = pa.schema([("customer_id", pa.int64()), ("event_time", STAMP)])
    write_parquet(folder / "spine.parquet", spine, drawn(spine, options.spine, options.skew, 43, in_order=False))


def spine_of(folder: Path) -> pa.RecordBatchReader:
    file = pq.ParquetFile(folder / "spine.parquet")
    return pa.RecordBatchReader.from_batches(file.schema_arrow, file.iter_batches(122_880))


def spark_engine(folder: Path, options: argparse.Namespace) -> Any:
    from inseam.adapters.delta.tables import DeltaTables
    from inseam.adapters.spark.engine import SparkEngine

    place, url = folder / "staging", f"local[{options.cores}]"
    tables = DeltaTables(folder / "tables")
    return SparkEngine(tables, directory=place, memory_limit=options.memory, threads=options.cores, url=url)


def on_spark(folder: Path, options: argparse.Namespace) -> Work:
    engine = spark_engine(folder, options)

    def work(out: Path) -> None:
        rows = engine.features(spine_of(folder), views())  # what it reads is staged for as long as it is referred to
        rows.frame.write.parquet(str(out))

    return work


def by_hand(folder: Path, options: argparse.Namespace) -> Work:
    from pyspark.sql import Window
    from pyspark.sql import functions as f

    from inseam.adapters.delta.tables import DeltaTables

    session = spark_engine(folder, options)._session()
    session.conf.set("spark.sql.shuffle.partitions", str(2 * options.cores))
    files = DeltaTables(folder / "tables").snapshot("sources/events").files

    def work(out: Path) -> None:
        at = f.unix_micros("ts").alias("at")
        events = session.read.parquet(*files).select("customer_id", at, "amount", f.lit(False).alias("is_spine"))
        spine = session.read.parquet(str(folder / "spine.parquet")).select(
            "customer_id", f.unix_micros("event_time").alias("at"), f.lit(None).cast("double").alias("amount"),
            f.lit(True).alias("is_spine"),
        )  # fmt: skip
        both = events.unionAll(spine)
        of_key = Window.partitionBy("customer_id").orderBy("at")
        for days in DAYS:
            over = of_key.rangeBetween(-days * DAY_US, -1)
            for name, function in (("sum", f.sum), ("count", f.count), ("mean", f.avg), ("max", f.max)):
                both = both.withColumn(f"{name}_{days}d", function("amount").over(over))
        found = both.where("is_spine").drop("amount", "is_spine")
        found.withColumn("event_time", f.timestamp_micros("at")).drop("at").write.parquet(str(out))

    return work


def on_duckdb(folder: Path, options: argparse.Namespace) -> Work:
    from inseam.adapters.delta.tables import DeltaTables
    from inseam.adapters.duckdb.engine import DuckdbEngine

    tables = DeltaTables(folder / "tables")
    engine = DuckdbEngine(tables, directory=folder / "spill", memory_limit=options.memory, threads=options.cores)

    def work(out: Path) -> None:
        rows = engine.features(spine_of(folder), views()).reader()
        out.mkdir()
        with pq.ParquetWriter(out / "part-0.parquet", rows.schema, use_dictionary=False) as writer:
            for batch in rows:
                writer.write_batch(batch)

    return work


COMPETITORS = {"inseam on Spark": on_spark, "Spark by hand": by_hand, "inseam on DuckDB": on_duckdb}


def cpu_seconds() -> float:
    """Of this process and all that it has started."""
    own = psutil.Process()
    total = 0.0
    for process in (own, *own.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def compete(name: str, folder: Path, options: argparse.Namespace) -> None:
    """Print a line of JSON a round; the first, which warms, is left out."""
    work = COMPETITORS[name](folder, options)
    out = folder / "out"
    for number in range(options.rounds + 1):
        shutil.rmtree(out, ignore_errors=True)
        wall, cpu = time.perf_counter(), cpu_seconds()
        work(out)
        found = {"wall": time.perf_counter() - wall, "cpu": cpu_seconds() - cpu}
        if number:
            print("RESULT " + json.dumps(found), flush=True)
    total = pq.read_table(out, columns=["sum_7d", "max_30d", "count_1d"]).to_pandas().sum()
    print("TOTAL " + json.dumps([f"{value:.6g}" for value in total]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--spine", type=int, default=300_000)
    parser.add_argument("--skew", type=float, default=0.0, help="exponent of the zipf distribution of entities")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        compete(options.run[0], Path(options.run[1]), options)
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        write(Path(folder), options)
        print(f"{options.rows:,} events, {options.spine:,} spine rows, skew {options.skew}, local[{options.cores}]")
        medians: dict[str, tuple[float, float]] = {}
        for name in COMPETITORS:
            done = subprocess.run(
                [sys.executable, *sys.argv, "--run", name, folder], capture_output=True, text=True, check=False
            )
            lines = [json.loads(line[7:]) for line in done.stdout.splitlines() if line.startswith("RESULT ")]
            if not lines:
                sys.exit(f"{name} failed:\n{done.stderr[-3000:]}")
            medians[name] = tuple(statistics.median(line[what] for line in lines) for what in ("cpu", "wall"))
            cpu, wall = medians[name]
            (first_cpu, first_wall) = medians[next(iter(COMPETITORS))]
            ratios = f"{first_cpu / cpu:6.2f} {first_wall / wall:6.2f}"
            total = next(line for line in done.stdout.splitlines() if line.startswith("TOTAL "))
            print(f"{name:18} CPU {cpu:7.2f} s   wall {wall:7.2f} s   ours against it {ratios}   {total}", flush=True)


if __name__ == "__main__":
    main()
