"""Online reads from Redis on the loopback: 3 views x 5 floats of 100,000 entities, and 200 features for 100 entities.

    python bench/online_redis.py [--entities N] [--rounds N] [--peers DIR]

Ours goes through the feature reader, as users get it. Entities are drawn evenly, which finds hardly one again; and, as
"often the same", the one of rank r in proportion to 1 / r, the same sequence for each peer: there ours remembers rows
until Redis says that they changed, and the share that it did not ask for is printed. The raw peers read the same bytes
by redis-py with hiredis, one string a row, in a pipeline of GETs or in one MGET, and unpack them with `struct` into the
same dict. DIR holds a virtual environment with feast[redis], which reads the same values from the same server. Peers
take turns, block by block.
Targets: one entity at most 1.5 times the raw pipeline, and 15 times faster than Feast (often the same entities).
"""

from __future__ import annotations

import argparse
import shutil
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import redis
from online import (
    BOUNDARY,
    KEYS,
    NAMES,
    VIEWS,
    Draw,
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


def opened(url: str, views: list[WindowedAggregate]) -> FeatureReader:
    return FeatureReader(RedisStore(url, namespace="bench"), [(view, "0") for view in views], KEYS)


def write(url: str, views: list[WindowedAggregate], values: np.ndarray) -> None:
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


def compare(
    client: redis.Redis, reads: dict[str, Read], batch: int, draw: Callable[[], Draw], feast: Feast | None
) -> None:
    """Ours alone reads by HGET: what it does not read was remembered."""
    calls, before = 300 if batch == 1 else 20, asked(client)
    taken = measure(reads, batch, calls, draw, feast)
    rows = 3 * batch * sum(len(took) for took, _ in taken["ours"])
    print(f"ours remembered {1 - (asked(client) - before) / rows:.0%} of the rows")
    report(batch, taken, PIPELINE)


def asked(client: redis.Redis) -> int:
    return client.info("commandstats").get("cmdstat_hget", {"calls": 0})["calls"]


def race(server: RedisServer, options: argparse.Namespace, home: Path) -> None:
    values = np.random.default_rng(5).normal(size=(3, options.entities, 5))
    write(server.url, VIEWS, values)
    write(server.url, WIDE, values[:, :2_000])
    client = server.client()
    write_raw(client, values)
    raw = {PIPELINE: raw_pipeline(client), "raw MGET": raw_mget(client)}
    feast = None
    if options.peers:
        store = f"type: redis\n  connection_string: 127.0.0.1:{server.port},db=1"
        feast = Feast(options.peers, home / "feast", values, store)
    cases = [(batch, skew, opened(server.url, VIEWS)) for batch in (1, 100) for skew in (0.0, 1.0)]
    wide = opened(f"{server.url}?cache=0", WIDE)
    for seed in range(options.rounds):
        for batch, skew, reader in cases:
            reads = {**raw, "ours": ours_one(reader) if batch == 1 else ours_many(reader)}
            for name, read in reads.items():
                check(name, read, values, list(range(5, 5 + batch)))
            print(f"{batch} at a time, {'often the same' if skew else 'drawn evenly'}: ", end="")
            compare(client, reads, batch, partial(Draw, options.entities, skew, seed), feast)
        report(100, measure({WIDE_READ: ours_many(wide)}, 100, 5, lambda: Draw(2_000), None), WIDE_READ)
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
