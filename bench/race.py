"""A bench of features: its arguments, its data in Delta and in plain Parquet, ours and the peers in turns."""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rounds import DAY_US, START_US, compete, entity_ids, finish_imports, measured

if TYPE_CHECKING:
    from inseam.ir.windows import WindowedAggregate

STAMP = pa.timestamp("us", tz="UTC")
YEAR_US = 365 * DAY_US
_BATCH = 1 << 20
_GROUP = 122_880


@dataclass(frozen=True)
class Race:
    """``write`` makes the data in a folder; ``peers`` are the engines beside ours, by the name of their package."""

    write: Callable[[Path, argparse.Namespace], None]
    views: Callable[[], Sequence[WindowedAggregate]]
    peers: Mapping[str, tuple[str, Callable[[Path], None]]]
    hand_written: tuple[str, Sequence[str], Sequence[str]]
    """The script in the folder of ``--peers``, which of its programs to run, and their further arguments."""


def run(race: Race, doc: str, *, rows: int, spine: int, rounds: int) -> None:
    """Read the arguments; then either run one competitor (in a process of its own), or let all of them compete."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=rows, help="events of each view")
    parser.add_argument("--spine", type=int, default=spine)
    parser.add_argument("--skew", type=float, default=0.0, help="exponent of the zipf distribution of entities")
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--memory", default="2GB")
    parser.add_argument("--alone", action="store_true", help="ours without the peers, whose memory grows with the rows")
    parser.add_argument("--directory", help="where the data and what does not fit in memory goes")
    parser.add_argument("--peers", type=Path, help="folder of the hand-written peers")
    parser.add_argument("--venv", type=Path, help="a virtual environment with Feast, for the point-in-time join")
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        name, folder = options.run[0], Path(options.run[1])
        if name == "inseam":
            ours(folder, options.memory, race.views)
        else:
            race.peers[name][1](folder)
        return
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.directory) as folder_name:
        race.write(Path(folder_name), options)
        print(f"{options.rows:,} rows a view, {options.spine:,} spine rows, skew {options.skew}, {options.memory}")
        commands = _commands(race, options, folder_name)
        compete(commands, options.rounds, {"BASELINE_ROOT": folder_name}, per=options.rows + options.spine)


def _commands(race: Race, options: argparse.Namespace, folder: str) -> dict[str, Sequence[str]]:
    own = [sys.executable, sys.argv[0], "--memory", options.memory, "--run"]
    commands: dict[str, Sequence[str]] = {"inseam": [*own, "inseam", folder]}
    if options.alone:
        return commands
    for package, (label, _) in race.peers.items():
        if importlib.util.find_spec(package):
            commands[label] = [*own, package, folder]
        else:
            print(f"{package} is not installed: left out")
    if options.peers:
        script, programs, more = race.hand_written
        for program in programs:
            commands[f"C, {program}"] = [sys.executable, str(options.peers / script), program, *more]
        if options.venv and script == "p_peers.py":
            feast = [str(options.venv / "bin" / "python"), str(options.peers / script), "feast_duckdb", *more]
            commands["Feast, DuckDB store"] = feast
    return commands


def ours(folder: Path, memory: str, views: Callable[[], Sequence[WindowedAggregate]]) -> None:
    """Delta and the spine's Parquet in, Parquet out."""
    finish_imports()
    import inseam.adapters.duckdb.build
    import inseam.adapters.duckdb.engine
    from inseam.adapters.delta.tables import DeltaTables

    wanted = views()

    def work() -> None:
        tables = DeltaTables(folder / "tables")
        engine = inseam.adapters.duckdb.engine.DuckdbEngine(tables, directory=folder / "spill", memory_limit=memory)
        file = pq.ParquetFile(folder / "spine.parquet", pre_buffer=False)
        spine = pa.RecordBatchReader.from_batches(file.schema_arrow, file.iter_batches(_GROUP))
        rows = engine.features(spine, wanted).reader()
        with pq.ParquetWriter(folder / "ours.parquet", rows.schema, use_dictionary=False) as writer:
            for batch in rows:
                writer.write_batch(batch)

    measured(work)


def write_delta(folder: Path, table: str, events: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    """A source's table: the columns and, as ingest adds them, ``_ingested_at`` and ``_seq``."""
    from inseam.adapters.delta.tables import DeltaTables

    schema = events.append(pa.field("_ingested_at", STAMP)).append(pa.field("_seq", pa.int64()))

    def numbered() -> Iterator[pa.RecordBatch]:
        start = 0
        for batch in batches:
            number = pa.array(np.arange(start, start + batch.num_rows))
            start += batch.num_rows
            yield pa.record_batch([*batch.columns, pa.nulls(batch.num_rows, STAMP), number], schema=schema)

    DeltaTables(folder / "tables").append(table, pa.RecordBatchReader.from_batches(schema, numbered()))


def write_parquet(path: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(path, schema) as writer:
        for batch in batches:
            writer.write_batch(batch, row_group_size=_GROUP)


def drawn(schema: pa.Schema, rows: int, skew: float, seed: int, *, in_order: bool) -> Iterator[pa.RecordBatch]:
    """A year of (entity, instant, amounts ...), the same rows for the same seed, in order of time if asked."""
    random = np.random.default_rng(seed)
    for start in range(0, rows, _BATCH):
        stop = min(start + _BATCH, rows)
        low, high = (YEAR_US * start // rows, YEAR_US * stop // rows) if in_order else (0, YEAR_US)
        at = random.integers(low, high, stop - start) + START_US
        columns = [entity_ids(random, stop - start, skew), np.sort(at) if in_order else at]
        columns += [np.round(random.lognormal(3, 1, stop - start), 2) for _ in schema.names[2:]]
        arrays = [pa.array(column).cast(field.type) for column, field in zip(columns, schema, strict=True)]
        yield pa.record_batch(arrays, schema=schema)
