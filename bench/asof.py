"""The point-in-time join: the newest row of each of three views at each spine row, 30 days old at most.

    python bench/asof.py [--rows N] [--spine N] [--skew S] [--rounds N] [--memory SIZE] [--peers DIR]

Each view has N rows of five floats. Ours: ``last`` with a ttl, Delta in, Parquet out. Beside it DuckDB's ASOF join,
polars' join_asof where it is installed, and with DIR (a folder that holds ``p_peers.py``) the hand-written sweep in C,
all from plain Parquet. Target: 1.3 times the better of DuckDB and polars.
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

STAMP = pa.timestamp("us", tz="UTC")
VIEWS = range(3)
CELLS = range(5)


def write_data(folder: Path, rows: int, spine_rows: int, skew: float) -> None:
    from inseam.adapters.delta.tables import DeltaTables

    peers = folder / "data" / "p_bench"
    peers.mkdir(parents=True)
    for view in VIEWS:
        random = np.random.default_rng(100 + view)
        at = pa.array(np.sort(random.integers(0, 365 * DAY_US, rows)) + START_US).cast(STAMP)
        columns = {"entity_id": entity_ids(random, rows, skew), "event_timestamp": at}
        columns |= {f"v{view}_f{cell}": random.normal(size=rows) for cell in CELLS}
        table = pa.table(columns)
        pq.write_table(table, peers / f"fv{view}.parquet", row_group_size=122_880)
        table = table.append_column("_ingested_at", pa.nulls(rows, STAMP)).append_column("_seq", pa.array(range(rows)))
        DeltaTables(folder / "tables").append(f"sources/v{view}", table.to_reader(122_880))
    random = np.random.default_rng(7)
    at = pa.array(random.integers(0, 365 * DAY_US, spine_rows) + START_US).cast(STAMP)
    spine = pa.table({"entity_id": entity_ids(random, spine_rows, skew), "event_timestamp": at})
    pq.write_table(spine, peers / "spine_bench.parquet")
    pq.write_table(spine.rename_columns(["entity_id", "event_time"]), folder / "spine.parquet")


def inseam(folder: Path, memory: str) -> None:
    finish_imports()
    import inseam.adapters.duckdb.build
    import inseam.adapters.duckdb.engine
    from inseam.adapters.delta.tables import DeltaTables
    from inseam.ir.aggregates import AggregateKind, AggregateSpec
    from inseam.ir.relation import Relation
    from inseam.ir.windows import WindowedAggregate
    from inseam.kernel.clock import Step
    from inseam.kernel.types import DataType, Schema

    def view_of(view: int) -> WindowedAggregate:
        names = [f"v{view}_f{cell}" for cell in CELLS]
        fields = [("entity_id", "int64"), ("event_timestamp", "timestamp"), *((name, "float64") for name in names)]
        relation = Relation(f"sources/v{view}", "event_timestamp", Schema.of(fields))
        specs = (AggregateSpec(name, AggregateKind.LAST, DataType.FLOAT64, name, 30 * DAY_US) for name in names)
        return WindowedAggregate(f"v{view}", relation, ("entity_id",), Step(0), 0, tuple(specs))

    def work() -> None:
        tables = DeltaTables(folder / "tables")
        engine = inseam.adapters.duckdb.engine.DuckdbEngine(tables, directory=folder / "spill", memory_limit=memory)
        file = pq.ParquetFile(folder / "spine.parquet", pre_buffer=False)
        spine = pa.RecordBatchReader.from_batches(file.schema_arrow, file.iter_batches(122_880))
        rows = engine.features(spine, [view_of(view) for view in VIEWS])
        with pq.ParquetWriter(folder / "ours.parquet", rows.schema, use_dictionary=False) as writer:
            for batch in rows:
                writer.write_batch(batch)

    measured(work)


def duckdb_asof(folder: Path) -> None:
    import duckdb

    peers = folder / "data" / "p_bench"
    at = "event_timestamp"

    def cell(view: int, number: int) -> str:
        name = f"v{view}_f{number}"
        return f"CASE WHEN f{view}.{at} >= s.{at} - INTERVAL 30 DAY THEN {name} END AS {name}"

    def work() -> None:
        joins = " ".join(
            f"ASOF LEFT JOIN '{peers}/fv{view}.parquet' f{view}"
            f" ON s.entity_id = f{view}.entity_id AND s.{at} > f{view}.{at}"
            for view in VIEWS
        )
        cells = ", ".join(cell(view, number) for view in VIEWS for number in CELLS)
        duckdb.connect().execute(
            f"COPY (SELECT s.entity_id, s.{at}, {cells} FROM '{peers}/spine_bench.parquet' s {joins})"
            f" TO '{folder}/duckdb.parquet'"
        )

    measured(work)


def polars_asof(folder: Path) -> None:
    import polars as pl

    peers = folder / "data" / "p_bench"
    at = "event_timestamp"

    def work() -> None:
        spine = pl.scan_parquet(peers / "spine_bench.parquet").sort(at)
        for view in VIEWS:
            rows = pl.scan_parquet(peers / f"fv{view}.parquet").set_sorted(at)
            spine = spine.join_asof(
                rows, on=at, by="entity_id", strategy="backward", tolerance="30d",
                check_sortedness=False, allow_exact_matches=False,
            )  # fmt: skip
        spine.sink_parquet(folder / "polars.parquet", engine="streaming")

    measured(work)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of each view")
    parser.add_argument("--spine", type=int, default=100_000)
    parser.add_argument("--skew", type=float, default=0.0, help="exponent of the zipf distribution of entities")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", default="2GB")
    parser.add_argument("--peers", type=Path, help="folder of p_peers.py")
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        name, folder = options.run[0], Path(options.run[1])
        {"inseam": lambda: inseam(folder, options.memory), "duckdb": lambda: duckdb_asof(folder),
         "polars": lambda: polars_asof(folder)}[name]()  # fmt: skip
        return
    with tempfile.TemporaryDirectory(prefix="bench-asof-") as name:
        write_data(Path(name), options.rows, options.spine, options.skew)
        own = [sys.executable, __file__, "--memory", options.memory, "--run"]
        commands = {"inseam": [*own, "inseam", name], "DuckDB, ASOF": [*own, "duckdb", name]}
        if importlib.util.find_spec("polars"):
            commands["polars, join_asof"] = [*own, "polars", name]
        else:
            print("polars is not installed: left out")
        if options.peers:
            commands["C, limit"] = [sys.executable, str(options.peers / "p_peers.py"), "limit", "bench", "bench"]
        print(f"3 views of {options.rows:,} rows, {options.spine:,} spine rows, skew {options.skew}")
        compete(commands, options.rounds, {"BASELINE_ROOT": name})


if __name__ == "__main__":
    main()
