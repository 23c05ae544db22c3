"""Online reads from Redis on the loopback: 3 views x 5 floats of 100,000 entities, and 200 features for 100 entities.

    python bench/online_redis.py [--entities N] [--rounds N] [--peers DIR]

Ours goes through the feature reader. The raw peers read the same bytes by redis-py with hiredis, one string a row, in a
pipeline of GETs or in one MGET, and unpack them with `struct` into the same dict. DIR holds a virtual environment with
feast[redis], which reads the same values from the same server. Peers take turns, call by call (Feast: block by block).
Targets: one entity at most 1.5 times the raw pipeline, and 15 times faster than Feast.
"""

from __future__ import annotations

import argparse
import shutil
import struct
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import redis
from online import (
    BOUNDARY,
    KEYS,
    NAMES,
    VIEWS,
    Feast,
    Read,
    check,
    encoded,
    measure,
    ours_many,
    ours_one,
    report,
    view_of,
)

from inseam.adapters.redis.store import RedisStore
from inseam.ir.windows import WindowedAggregate
from inseam.stages.features.fetch import FeatureReader
from inseam.stages.features.mark import Mark, online_table
from inseam.testing.redis import RedisServer, redis_server

ROW = struct.Struct("<qqQ5d")
WIDE = [view_of(number) for number in range(3, 43)]
"""40 views of 5: 200 features."""
PIPELINE, WIDE_READ = "raw pipeline", "ours, 200 features"


def write(url: str, views: list[WindowedAggregate], values: np.ndarray) -> FeatureReader:
    store = RedisStore(url, namespace="bench")
    start = time.perf_counter()
    for number, view in enumerate(views):
        table = online_table(view.name, "0")
        rows = encoded(view, values[number % len(values)])
        for first in range(0, len(rows), 20_000):
            store.write(table, rows[first : first + 20_000])
        store.write(table, [], Mark.start(view, BOUNDARY, 1).encode())
    took = time.perf_counter() - start
    print(f"{len(views)} views written, {len(views) * values.shape[1] / took:,.0f} rows/s with their encoding")
    return FeatureReader(store, [(view, "0") for view in views], KEYS)


def write_raw(client: redis.Redis, values: np.ndarray) -> None:
    for number, view in enumerate(VIEWS):
        rows = encoded(view, values[number])
        for first in range(0, len(rows), 10_000):
            client.mset({b"raw:%d:" % number + key: row for key, row in rows[first : first + 10_000]})


def unpacked(rows: list[bytes], count: int) -> dict:
    found = {}
    for number in range(3):
        columns = list(zip(*map(ROW.unpack, rows[number * count : (number + 1) * count]), strict=True))
        for place in range(5):
            found[NAMES[5 * number + place]] = list(columns[3 + place])
    return {"values": found}


def raw_keys(ids: list[int]) -> list[bytes]:
    return [b"raw:%d:%b" % (number, entity.to_bytes(8, "big")) for number in range(3) for entity in ids]


def raw_pipeline(client: redis.Redis) -> Read:
    def read(ids: list[int]) -> dict:
        pipeline = client.pipeline(transaction=False)
        for key in raw_keys(ids):
            pipeline.get(key)
        return unpacked(pipeline.execute(), len(ids))

    return read


def raw_mget(client: redis.Redis) -> Read:
    return lambda ids: unpacked(client.mget(raw_keys(ids)), len(ids))


def race(server: RedisServer, options: argparse.Namespace, home: Path) -> None:
    values = np.random.default_rng(5).normal(size=(3, options.entities, 5))
    reader, wide = write(server.url, VIEWS, values), write(server.url, WIDE, values[:, :2_000])
    client = server.client()
    write_raw(client, values)
    raw = {PIPELINE: raw_pipeline(client), "raw MGET": raw_mget(client)}
    feast = None
    if options.peers:
        store = f"type: redis\n  connection_string: 127.0.0.1:{server.port},db=1"
        feast = Feast(options.peers, home / "feast", values, store)
    for _ in range(options.rounds):
        for batch, calls in ((1, 300), (100, 20)):
            reads = {**raw, "ours": ours_one(reader) if batch == 1 else ours_many(reader)}
            for name, read in reads.items():
                check(name, read, values, list(range(5, 5 + batch)))
            report(batch, measure(reads, batch, calls, options.entities, feast), PIPELINE)
        report(100, measure({WIDE_READ: ours_many(wide)}, 100, 5, 2_000, None), WIDE_READ)
    if feast is not None:
        feast.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entities", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", type=Path, help="a virtual environment with feast[redis]")
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="inseam-bench-"))
    try:
        with redis_server() as server:
            race(server, options, home)
    finally:
        shutil.rmtree(home)


if __name__ == "__main__":
    sys.exit(main())
