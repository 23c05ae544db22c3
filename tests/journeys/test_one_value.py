"""One definition, four paths: training set, online row, batch score and replay give the oracle's value."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from inseam.adapters.delta.tables import DeltaTables
from inseam.adapters.duckdb.engine import DuckdbEngine
from inseam.adapters.lmdb.store import LmdbStore
from inseam.adapters.sql.ledger import SqlLedger
from inseam.ir.encoding import EncodedColumn, Encoding, to_numpy
from inseam.ir.training import Task
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.types import DataType, Field, Schema
from inseam.ports.bundle import Bundle, BundleManifest, ViewUse
from inseam.run.receipt import recompute, same_bits
from inseam.stages.features.fetch import FeatureReader
from inseam.stages.features.materialize import materialize
from inseam.stages.score.scoring import score
from inseam.testing.contracts.engine import assert_same, stored, told
from inseam.testing.worlds import SCHEMA, World, views, worlds

_numbers = itertools.count()
FINGERPRINT = "f" * 32


@dataclass(frozen=True)
class Paths:
    engine: DuckdbEngine
    tables: DeltaTables
    store: LmdbStore
    ledger: SqlLedger
    directory: Path


class Echo:
    """A predictor that answers with the first column: what a batch score computed comes out as it is."""

    is_row_independent = True

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        return matrix[:, 0].copy()


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Paths]:
    root = tmp_path_factory.mktemp("paths")
    tables = DeltaTables(root / "tables")
    store = LmdbStore(root / "online")
    engine = DuckdbEngine(tables, directory=root / "spill", memory_limit="512MB")
    yield Paths(engine, tables, store, SqlLedger(f"sqlite:///{root / 'ledger.db'}"), root)
    store.close()


def key_fields(view: WindowedAggregate) -> tuple[Field, ...]:
    return tuple(Field(key, SCHEMA.type_of(key) or DataType.STRING) for key in view.keys)


def offline(paths: Paths, view: WindowedAggregate, world: World) -> dict[str, list[Any]]:
    table = paths.engine.features(world.spine(view.keys).to_reader(), [view]).reader().read_all()
    return {field.name: to_numpy(table[field.name], field.type).tolist() for field in view.schema}


def scored(paths: Paths, view: WindowedAggregate, world: World, name: str) -> list[Any]:
    field = next(f for f in view.schema if f.name == name)
    manifest = BundleManifest(
        "echo", "echo", Task.REGRESSION, (), key_fields(view), (ViewUse(view.name, FINGERPRINT, (field,)),), (), (),
        Encoding((EncodedColumn(name, field.type),)), "", "",
    )  # fmt: skip
    out = paths.directory / f"scores_{next(_numbers)}.parquet"
    spine = world.spine(view.keys).to_reader()
    score(Bundle(manifest, "", Echo(), {}), spine, [view], version=1, engine=paths.engine, tables=paths.tables, out=out)
    return list(parquet.read_table(out)["prediction"].to_pylist())


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data(), world=worlds())
def test_every_path_gives_the_value_that_the_definition_of_time_gives(
    paths: Paths, data: st.DataObject, world: World
) -> None:
    number = next(_numbers)
    view = data.draw(views(f"sources/rows_{number}", f"v{number}", labels=False, defaults=True))
    reads = tuple(read for read in world.reads if all(read[key] is not None for key in view.keys))
    assume(reads)
    # Online rows are of one instant: every read is at the first one's.
    instant = reads[0]["t"]
    world = World(world.rows, tuple({**read, "t": instant} for read in reads))
    stored(paths.tables, world, view.relation.table)

    expected = told(view, world)
    values = offline(paths, view, world)
    materialize(
        view,
        FINGERPRINT,
        as_of=instant,
        engine=paths.engine,
        tables=paths.tables,
        store=paths.store,
        ledger=paths.ledger,
    )
    reader = FeatureReader(paths.store, [(view, FINGERPRINT)], Schema(key_fields(view)))
    online = reader.read([{key: read[key] for key in view.keys} for read in world.reads], at=instant)

    for spec in view.aggregates:
        assert_same(online.values[spec.name], expected[spec.name], f"online {spec.name}")
        assert all(map(_same_form, online.columns[spec.name].tolist(), values[spec.name])), (
            "online is offline, to the bit"
        )
        if spec.type.is_numeric and spec.type is not DataType.BOOL:
            batch = scored(paths, view, world, spec.name)
            assert all(map(_same_form, [math.nan if v is None else v for v in batch], values[spec.name]))
    for place, read in enumerate(world.reads):
        if online.is_missing[view.name][place]:
            continue
        assert online.boundaries[view.name][place] == view.boundary(instant)
        version = int(online.versions[view.name][place])
        keys = {key: read[key] for key in view.keys}
        again = recompute(paths.engine, view.at(version), key_fields(view), keys, view.boundary(instant))
        for spec in view.aggregates:
            assert same_bits(again[spec.name], _logged(online.columns[spec.name][place], spec.type)), spec


def _same_form(one: Any, other: Any) -> bool:
    return same_bits(one, other) or (one is None and other is None)


def _logged(cell: Any, type_: DataType) -> Any:
    """A column's cell in the form in which the prediction log keeps it."""
    if type_ in (DataType.TIMESTAMP, DataType.DATE):
        return None if np.isnat(cell) else int(cell.astype(np.int64))
    if type_ is DataType.STRING:
        return cell
    return None if math.isnan(cell) else float(cell)
