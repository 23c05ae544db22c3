"""The point-in-time join: the newest row of each of three views at each spine row, 30 days old at most.

    python bench/asof.py [--rows N] [--spine N] [--skew S] [--rounds N] [--memory SIZE] [--alone] [--peers DIR]
                         [--venv DIR]

Each view has N rows of five floats. Ours: ``last`` with a ttl, Delta in, Parquet out. Beside it DuckDB's ASOF join,
polars' join_asof where it is installed, and with DIR (a folder that holds ``p_peers.py``) the hand-written sweep in C,
all from plain Parquet; with the virtual environment ``--venv`` also Feast on its DuckDB store. Targets: 1.3 times the
better of DuckDB and polars; on a skew of 1 a twentieth of Feast.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from race import STAMP, Race, drawn, run, write_delta, write_parquet
from rounds import DAY_US, measured

if TYPE_CHECKING:
    from inseam.ir.windows import WindowedAggregate

VIEWS = range(3)
CELLS = range(5)


def write(folder: Path, options: argparse.Namespace) -> None:
    peers = folder / "data" / "p_bench"
    for view in VIEWS:
        cells = [(f"v{view}_f{cell}", pa.float64()) for cell in CELLS]
        schema = pa.schema([("entity_id", pa.int64()), ("event_timestamp", STAMP), *cells])

        def rows(schema: pa.Schema = schema, view: int = view) -> Iterator[pa.RecordBatch]:
            return drawn(schema, options.rows, options.skew, 100 + view, in_order=True)

        write_delta(folder, f"sources/v{view}", schema, rows())
        if not options.alone:
            write_parquet(peers / f"fv{view}.parquet", schema, rows())
    for path, at in ((peers / "spine_bench.parquet", "event_timestamp"), (folder / "spine.parquet", "event_time")):
        schema = pa.schema([("entity_id", pa.int64()), (at, STAMP)])
        write_parquet(path, schema, drawn(schema, options.spine, options.skew, 7, in_order=False))


def views() -> Sequence[WindowedAggregate]:
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

    return [view_of(view) for view in VIEWS]


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
    race = Race(
        write,
        views,
        {"duckdb": ("DuckDB, ASOF", duckdb_asof), "polars": ("polars, join_asof", polars_asof)},
        ("p_peers.py", ("limit",), ("bench", "bench")),
    )
    run(race, __doc__ or "", rows=1_000_000, spine=100_000, rounds=5)


if __name__ == "__main__":
    main()
