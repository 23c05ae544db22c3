"""Online reads in process: 3 views x 5 floats of 100,000 entities; a dict of values with their boundaries out.

    python bench/online.py [--entities N] [--rounds N] [--peers DIR]

Ours goes through the feature reader on LMDB. Raw LMDB is one `struct` row a view and entity, read and unpacked by hand
into the same dict. DIR holds a virtual environment with Feast, which then reads the same values from SQLite. Peers take
turns, block by block of their own random entities, so that each runs with the caches it would have alone. Wall times
are medians; where other work shares the machine a call of milliseconds waits for a core and one of microseconds does
not, so that the CPU time of a call is given beside them. Targets: one entity at most 4 times raw LMDB, 100 entities in
one call at most 2 times; both at least 50 times faster than Feast.
"""

from __future__ import annotations

import argparse
import json
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import lmdb
import numpy as np
import pyarrow as pa

from inseam.adapters.lmdb.store import LmdbStore
from inseam.ir.aggregates import AggregateKind, AggregateSpec
from inseam.ir.online_key import KeyCodec
from inseam.ir.online_row import RowCodec
from inseam.ir.relation import Relation
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.clock import DAY, Step
from inseam.kernel.types import DataType, Schema
from inseam.stages.features.fetch import FeatureReader
from inseam.stages.features.mark import Mark, online_table

KEYS = Schema.of([("entity_id", DataType.INT64)])
BOUNDARY = 19_900 * DAY
PEER = struct.Struct("<q5d")
Read = Callable[[list[int]], dict]
Block = tuple[list[float], float]
"""Wall seconds of each call, and CPU seconds of them all."""


def view_of(number: int) -> WindowedAggregate:
    relation = Relation("events", "ts", Schema.of([("entity_id", "int64"), ("x", "float64"), ("ts", "timestamp")]))
    names = [f"v{number}_f{place}" for place in range(5)]
    features = tuple(AggregateSpec(name, AggregateKind.SUM, DataType.FLOAT64, "x") for name in names)
    return WindowedAggregate(f"v{number}", relation, ("entity_id",), Step(DAY), 0, features)


VIEWS = [view_of(number) for number in range(3)]
NAMES = [name for view in VIEWS for name in view.schema.names]


def encoded(view: WindowedAggregate, values: np.ndarray) -> list[tuple[bytes, bytes]]:
    """The view's online rows: entity i has row i of ``values``."""
    columns = [pa.array(np.arange(len(values))), *(pa.array(values[:, place]) for place in range(5))]
    batch = pa.record_batch(columns, names=["entity_id", *view.schema.names])
    return list(zip(KeyCodec(KEYS).batch(batch), RowCodec(view.schema).encode(batch, BOUNDARY, 1), strict=True))


def write_ours(path: Path, values: np.ndarray) -> FeatureReader:
    store = LmdbStore(path)
    for number, view in enumerate(VIEWS):
        store.write(online_table(view.name, "0"), encoded(view, values[number]), Mark.start(view, BOUNDARY, 1).encode())
    store.close()
    return FeatureReader(LmdbStore(path, is_readonly=True), [(view, "0") for view in VIEWS], KEYS)


def ours_one(reader: FeatureReader) -> Read:
    def read(ids: list[int]) -> dict:
        row = reader.one((ids[0],), at=BOUNDARY + 1)
        return {"values": row.values, "boundaries": row.boundaries}

    return read


def ours_many(reader: FeatureReader) -> Read:
    def read(ids: list[int]) -> dict:
        rows = reader.read([(entity,) for entity in ids], at=BOUNDARY + 1)
        return {"values": rows.values, "boundaries": rows.boundaries}

    return read


def raw_lmdb(path: Path, values: np.ndarray) -> Read:
    with lmdb.open(str(path), map_size=1 << 30, max_dbs=8) as environment:
        for number in range(3):
            table = environment.open_db(b"p%d" % number)
            rows = [(struct.pack(">q", i), PEER.pack(BOUNDARY, *row)) for i, row in enumerate(values[number].tolist())]
            with environment.begin(write=True) as transaction:
                transaction.cursor(table).putmulti(rows, append=True)
    environment = lmdb.open(str(path), readonly=True, max_dbs=8, lock=False)
    tables = [environment.open_db(b"p%d" % number, create=False) for number in range(3)]
    pack, unpack = struct.Struct(">q").pack, PEER.unpack

    def read(ids: list[int]) -> dict:
        keys = [pack(entity) for entity in ids]
        found = {}
        with environment.begin(buffers=False) as transaction:
            get = transaction.get
            for number, table in enumerate(tables):
                columns = list(zip(*[unpack(get(key, db=table)) for key in keys], strict=True))
                for place in range(5):
                    found[NAMES[5 * number + place]] = list(columns[place + 1])
        return {"values": found}

    return read


FEAST = r"""
import sys, time, json, warnings, random
warnings.filterwarnings("ignore")
from datetime import datetime, timedelta, timezone
import numpy as np, pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource
from feast.types import Float64
from feast.value_type import ValueType
root, count, online = sys.argv[1], int(sys.argv[2]), sys.argv[3]
open(root + "/feature_store.yaml", "w").write("project: o\nprovider: local\n"
    "registry:\n  path: %s/registry.db\n  cache_ttl_seconds: 0\n"
    "offline_store:\n  type: file\nonline_store:\n  %s\n"
    "entity_key_serialization_version: 3\n" % (root, online))
store = FeatureStore(repo_path=root)
values = np.load(root + "/values.npy")
entity = Entity(name="entity", join_keys=["entity_id"], value_type=ValueType.INT64)
now = datetime.now(timezone.utc)
views = []
for k in range(3):
    names = ["v%d_f%d" % (k, j) for j in range(5)]
    frame = pd.DataFrame(values[k], columns=names)
    frame = frame.assign(entity_id=np.arange(count), event_timestamp=now - timedelta(hours=1))
    frame.to_parquet("%s/fv%d.parquet" % (root, k))
    views.append(FeatureView(name="fv%d" % k, entities=[entity], ttl=timedelta(days=3650), online=True,
        schema=[Field(name=n, dtype=Float64) for n in names],
        source=FileSource(name="s%d" % k, path="%s/fv%d.parquet" % (root, k), timestamp_field="event_timestamp")))
store.apply([entity, *views])
for k, view in enumerate(views):
    frame = pd.read_parquet("%s/fv%d.parquet" % (root, k))
    store.write_to_online_store("fv%d" % k, frame)
refs = ["fv%d:v%d_f%d" % (k, k, j) for k in range(3) for j in range(5)]
def read(ids):
    return store.get_online_features(features=refs, entity_rows=[{"entity_id": i} for i in ids]).to_dict()
for i in [7, *random.sample(range(count), 50)]:
    assert abs(read([i])["v2_f4"][0] - values[2, i, 4]) < 1e-12, i
print("ready", flush=True)
for line in sys.stdin:
    took, cpu = [], []
    for ids in json.loads(line):
        start, busy = time.perf_counter(), time.process_time()
        read(ids)
        took.append(time.perf_counter() - start)
        cpu.append(time.process_time() - busy)
    print(json.dumps([took, sum(cpu)]), flush=True)
"""


class Feast:
    """Feast in its own process and virtual environment, on an online store in its own words; it times its own calls."""

    def __init__(self, venv: Path, directory: Path, values: np.ndarray, online_store: str) -> None:
        directory.mkdir()
        np.save(directory / "values.npy", values)
        command = [str(venv / "bin" / "python"), "-c", FEAST, str(directory), str(values.shape[1]), online_store]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for line in self._process.stdout:
            if line.strip() == "ready":
                return
        raise SystemExit("the Feast process ended before it was ready")

    def time(self, asked: list[list[int]]) -> Block:
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return tuple(json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


def check(name: str, read: Read, values: np.ndarray, ids: list[int]) -> None:
    """Every peer must return the true numbers."""
    found = read(ids)["values"]
    for place, feature in enumerate(NAMES):
        column = found[feature] if isinstance(found[feature], list) else [found[feature]]
        expected = values[place // 5, ids[: len(column)], place % 5].tolist()
        if column != expected:
            raise SystemExit(f"{name}: {feature} is {column[:3]}, not {expected[:3]}")


class Draw:
    """Entities as they are asked for: evenly, or with a ``skew`` the one of rank r in proportion to 1 / r**skew."""

    def __init__(self, entities: int, skew: float = 0.0, seed: int | None = None) -> None:
        shares = np.cumsum(np.arange(1, entities + 1) ** -skew)
        self._shares = shares / shares[-1]
        self._random = np.random.default_rng(seed)

    def __call__(self, batch: int, calls: int) -> list[list[int]]:
        return np.searchsorted(self._shares, self._random.random((calls, batch))).tolist()


def block(read: Read, asked: list[list[int]]) -> Block:
    took = []
    busy = time.process_time()
    for ids in asked:
        start = time.perf_counter()
        read(ids)
        took.append(time.perf_counter() - start)
    return took, time.process_time() - busy


def measure(
    reads: dict[str, Read], batch: int, calls: int, draw: Callable[[], Draw], feast: Feast | None
) -> dict[str, list[Block]]:
    """Blocks of each, which draws for itself. Feast is asked less often."""
    draws = {name: draw() for name in (*reads, "feast")}
    taken: dict[str, list[Block]] = {}
    for _ in range(20):
        for name, read in reads.items():
            taken.setdefault(name, []).append(block(read, draws[name](batch, calls)))
        if feast is not None:
            taken.setdefault("feast", []).append(feast.time(draws["feast"](batch, max(10, 100 // batch))))
    return taken


def report(batch: int, taken: dict[str, list[Block]], raw_name: str = "raw lmdb") -> None:
    """A line a peer; the last column is how many times slower than ours it is, by wall and by CPU."""
    medians: dict[str, np.ndarray] = {}
    for name, blocks in taken.items():
        calls = [seconds for took, _ in blocks for seconds in took]
        p50, p99 = np.percentile(calls, [50, 99]) * 1e6
        cpu = float(np.median([busy / len(took) for took, busy in blocks])) * 1e6
        medians[name] = np.array([p50, cpu])
        raw, ours = (medians[name] / medians[other] for other in (raw_name, "ours" if "ours" in medians else name))
        print(
            f"{batch:>4} {'entity' if batch == 1 else 'entities'}  {name:<20} p50 {p50:9.1f} us  p99 {p99:9.1f} us"
            f"  CPU {cpu:9.1f} us   x {raw_name} {raw[0]:7.2f} {raw[1]:7.2f}   x ours {ours[0]:7.2f} {ours[1]:7.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entities", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", type=Path, help="a virtual environment with feast")
    options = parser.parse_args()
    values = np.random.default_rng(5).normal(size=(3, options.entities, 5))
    home = Path(tempfile.mkdtemp(prefix="inseam-bench-"))
    try:
        reader = write_ours(home / "ours", values)
        raw = raw_lmdb(home / "raw", values)
        sqlite = f"type: sqlite\n  path: {home}/feast/online.db"
        feast = Feast(options.peers, home / "feast", values, sqlite) if options.peers else None
        for _ in range(options.rounds):
            for batch, calls in ((1, 500), (100, 30)):
                reads = {"raw lmdb": raw, "ours": ours_one(reader) if batch == 1 else ours_many(reader)}
                if batch == 1:
                    reads["ours, by column"] = ours_many(reader)
                for name, read in reads.items():
                    check(name, read, values, list(range(5, 5 + batch)))
                report(batch, measure(reads, batch, calls, lambda: Draw(options.entities), feast))
        if feast is not None:
            feast.close()
    finally:
        shutil.rmtree(home)


if __name__ == "__main__":
    sys.exit(main())
