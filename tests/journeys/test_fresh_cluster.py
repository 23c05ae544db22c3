"""A view that is kept fresh on a real Redis Cluster, where an entity's rows are written whole and nothing else is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from inseam.adapters.delta.tables import DeltaTables
from inseam.adapters.duckdb.engine import DuckdbEngine
from inseam.adapters.redis.store import RedisStore
from inseam.ir import tile_fold
from inseam.ir.aggregates import AggregateKind, AggregateSpec
from inseam.ir.relation import INGESTED_AT, SEQUENCE, Relation
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.clock import SECOND, Step
from inseam.kernel.errors import InseamError
from inseam.kernel.types import DataType, Field, Schema
from inseam.stages.features.fetch import FeatureReader
from inseam.stages.features.freshen import Freshener
from inseam.testing.redis import WHY_NOT, is_installed, redis_cluster

pytestmark = pytest.mark.skipif(not is_installed(), reason=WHY_NOT)
ENTITIES, STEPS, OVER = 40, 25, 7
KEYS = Schema((Field("customer", DataType.INT64),))
VIEW = WindowedAggregate(
    "moving",
    Relation("sources/moving", "at", Schema((*KEYS, Field("at", DataType.TIMESTAMP)))),
    ("customer",),
    Step(SECOND),
    0,
    (
        AggregateSpec("lately", AggregateKind.COUNT, DataType.INT64, None, OVER * SECOND),
        AggregateSpec("ever", AggregateKind.COUNT, DataType.INT64, None, None),
    ),
)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with redis_cluster() as servers:
        yield f"{servers[0].url}?timeout=10s"


def test_reads_between_the_writes_of_a_step_are_of_the_boundary_that_they_name(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tile_fold, "INLINE", 1)
    draw = np.random.default_rng(4)
    known, customer = np.repeat(np.arange(1, STEPS + 1) * SECOND, 200), draw.integers(0, ENTITIES, STEPS * 200)
    at = known - draw.integers(1, 3 * SECOND, known.size)
    tables = DeltaTables(tmp_path / "tables")
    engine = DuckdbEngine(tables, directory=tmp_path / "spill", memory_limit="512MB")
    seen: list[tuple[int, int, int, int]] = []
    faults: list[Exception] = []
    is_over = threading.Event()

    def step(number: int) -> None:
        own = known == number * SECOND
        stamps = [pa.array(values[own]).cast(pa.timestamp("us", "UTC")) for values in (at, known)]
        columns = {"customer": customer[own], "at": stamps[0], INGESTED_AT: stamps[1], SEQUENCE: np.flatnonzero(own)}
        tables.append(VIEW.relation.table, pa.table(columns).to_reader())
        Freshener(VIEW, "f", engine=engine, tables=tables, store=writer, batch_entities=7).step(number * SECOND, 0)

    def read_on() -> None:
        store = RedisStore(url, namespace="fresh")
        reader = FeatureReader(store, [(VIEW, "f")], KEYS, fresh=["moving"])
        while not is_over.is_set():
            try:
                found = reader.read([(number,) for number in range(ENTITIES)], at=STEPS * SECOND)
            except InseamError as error:
                faults.append(error)
                return
            boundaries = found.boundaries["moving"].tolist()
            values = zip(range(ENTITIES), boundaries, *(found.values[name] for name in VIEW.schema.names), strict=True)
            seen.extend(values)
        store.close()

    writer = RedisStore(url, namespace="fresh")
    step(1)
    readers = [threading.Thread(target=read_on) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(2, STEPS + 1):
        step(number)
    is_over.set()
    for reader in readers:
        reader.join()
    writer.close()
    assert faults == []
    assert len({boundary for _, boundary, *_ in seen}) > 2
    for entity, boundary, lately, ever in set(seen):
        is_in = (customer == entity) & (known <= boundary) & (at < boundary)
        expected = (int((is_in & (at >= boundary - OVER * SECOND)).sum()), int(is_in.sum()))
        assert (lately, ever) == expected, f"customer {entity} at {boundary}"
