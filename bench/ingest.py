"""CSV to Delta: rows and CPU of a load against DuckDB reading the same file and writing it as Parquet.

    python bench/ingest.py [--rows 2000000] [--runs 3]

Interleaves three contestants in processes of their own and prints medians, CPU seconds, ratios and the spread:
``inseam`` (declared schema), ``inseam-first`` (schema inferred: everything is read twice) and ``duckdb`` (read_csv with
the declared types, COPY to Parquet). DuckDB does none of the work on lines, reasons, checks, digests and commits.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

CONTESTANTS = ("duckdb", "inseam", "inseam-first")
COLUMNS = [
    ("order_id", "int64", "BIGINT"),
    ("ordered_at", "timestamp", "TIMESTAMP"),
    ("customer_id", "int64", "BIGINT"),
    ("store", "string", "VARCHAR"),
    ("amount", "float64", "DOUBLE"),
    ("quantity", "int64", "BIGINT"),
    ("note", "string", "VARCHAR"),
]


def write(path: Path, rows: int) -> None:
    """A clean file: it is the common case that must be fast."""
    import duckdb

    duckdb.sql("select setseed(0.5)")
    duckdb.sql(
        f"""copy (select i as order_id, timestamp '2023-01-01' + i * interval '7 seconds' as ordered_at,
        (random() * 100000)::bigint as customer_id, 'store ' || (i % 50) as store,
        round(random() * 200, 2) as amount, 1 + i % 5 as quantity, 'note of order ' || i as note
        from range({rows}) t(i)) to '{path}' (header)"""
    )


def run_duckdb(path: Path, scratch: Path) -> int:
    import duckdb

    types = ", ".join(f"'{name}': '{type_}'" for name, _, type_ in COLUMNS)
    duckdb.sql("set preserve_insertion_order = true")
    duckdb.sql(f"copy (select * from read_csv('{path}', columns={{{types}}})) to '{scratch}/out.parquet'")
    return duckdb.sql(f"select count(*) from '{scratch}/out.parquet'").fetchall()[0][0]


def run_inseam(path: Path, scratch: Path, *, is_declared: bool) -> int:
    from inseam.adapters.delta.tables import DeltaTables
    from inseam.adapters.duckdb.engine import DuckdbEngine
    from inseam.adapters.sql.ledger import SqlLedger
    from inseam.ir.checks import SourceSpec
    from inseam.kernel.types import Schema
    from inseam.stages.ingest.load import ingest

    tables = DeltaTables(scratch / "tables")
    schema = Schema.of((name, type_) for name, type_, _ in COLUMNS) if is_declared else None
    load = ingest(
        SourceSpec("orders", "ordered_at", location=str(path), schema=schema),
        tables=tables,
        ledger=SqlLedger(f"sqlite:///{scratch}/ledger.db"),
        engine=DuckdbEngine(tables, directory=scratch),
        directory=scratch,
    )
    return load.rows_accepted if load else 0


def one(contestant: str, path: Path) -> None:
    """Run one contestant and print what it took."""
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        began = time.perf_counter()
        if contestant == "duckdb":
            rows = run_duckdb(path, Path(scratch))
        else:
            rows = run_inseam(path, Path(scratch), is_declared=contestant == "inseam")
        wall = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"rows": rows, "wall": wall, "cpu": used.ru_utime + used.ru_stime, "rss": used.ru_maxrss / 1024}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--one", nargs=2, metavar=("CONTESTANT", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        one(options.one[0], Path(options.one[1]))
        return
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "orders.csv"
        write(path, options.rows)
        print(f"{options.rows:,} rows, {path.stat().st_size / 1e6:.0f} MB, {options.runs} runs each, interleaved")
        found: dict[str, list[dict[str, float]]] = {name: [] for name in CONTESTANTS}
        for _ in range(options.runs):
            for name in CONTESTANTS:
                command = [sys.executable, __file__, "--one", name, str(path)]
                output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                found[name].append(json.loads(output))
                assert found[name][-1]["rows"] == options.rows
    report(found, options.rows)


def report(found: dict[str, list[dict[str, float]]], rows: int) -> None:
    base = median(run["cpu"] for run in found["duckdb"])
    for name, runs in found.items():
        walls = [run["wall"] for run in runs]
        wall, cpu = median(walls), median(run["cpu"] for run in runs)
        print(
            f"{name:13} {rows / wall:12,.0f} rows/s  wall {wall:6.2f} s  cpu {cpu:6.2f} s ({cpu / base:4.2f} x duckdb)"
            f"  peak {median(run['rss'] for run in runs):6.0f} MiB  noise {(max(walls) - min(walls)) / wall:4.0%}"
        )


if __name__ == "__main__":
    main()
