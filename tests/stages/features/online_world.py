"""A small project's tables, engine, ledger and store, as materialize and fetch meet them; also run as a process.

python online_world.py HOME AS_OF BATCH_ROWS     materialize `SPEND` there, printing the rows done
"""

import struct
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from inseam.adapters.delta.tables import DeltaTables
from inseam.adapters.duckdb.engine import DuckdbEngine
from inseam.adapters.lmdb.store import LmdbStore
from inseam.adapters.sql.ledger import SqlLedger
from inseam.ir.aggregates import AggregateKind as Kind
from inseam.ir.aggregates import AggregateSpec
from inseam.ir.records import MaterializationRecord
from inseam.ir.relation import Relation
from inseam.ir.windows import EVENT_TIME, WindowedAggregate
from inseam.kernel.clock import DAY, HOUR, Step
from inseam.kernel.types import DataType, Schema
from inseam.stages.features.fetch import FeatureReader
from inseam.stages.features.materialize import materialize

TABLE = "sources/orders"
FINGERPRINT = "f1"
STAMP = pa.timestamp("us", tz="UTC")
SCHEMA = Schema.of(
    [
        ("customer", "int64"),
        ("store", "string"),
        ("amount", "float64"),
        ("pieces", "int64"),
        ("is_gift", "bool"),
        ("due", "date"),
        ("ordered_at", "timestamp"),
    ]
)


def features(prefix: str) -> tuple[AggregateSpec, ...]:
    def feature(name, kind, type_, column=None, over=None, **more):
        return AggregateSpec(f"{prefix}_{name}", kind, DataType(type_), column, over, **more)

    return (
        feature("orders_7d", Kind.COUNT, "int64", over=7 * DAY),
        feature("amount_7d", Kind.SUM, "float64", "amount", 7 * DAY),
        feature("amount_mean", Kind.MEAN, "float64", "amount"),
        feature("pieces_max", Kind.MAX, "int64", "pieces", 3 * DAY),
        feature("last_store", Kind.LAST, "string", "store", 30 * DAY),
        feature("last_gift", Kind.LAST, "bool", "is_gift"),
        feature("first_due", Kind.FIRST, "date", "due"),
        feature("last_at", Kind.MAX, "timestamp", "ordered_at"),
        feature("stores", Kind.DISTINCT, "int64", "store", 30 * DAY),
        feature("amount_std", Kind.STD, "float64", "amount"),
    )


RELATION = Relation(TABLE, "ordered_at", SCHEMA)
SPEND = WindowedAggregate("spend", RELATION, ("customer",), Step(DAY), HOUR, features("c"))
BASKET = WindowedAggregate("basket", RELATION, ("store", "customer"), Step(HOUR), 0, features("sc"))
SHOP = WindowedAggregate("shop", RELATION, ("store",), Step(DAY, "Europe/Paris"), 0, features("s"))
VIEWS = (SPEND, BASKET, SHOP)


def orders(rows: int, *, customers: int, days: int, seed: int, is_late: bool = False) -> pa.Table:
    rng = np.random.default_rng(seed)
    at = rng.integers(0, days * DAY, rows)
    late = np.where(rng.random(rows) < 0.3, rng.integers(0, 2 * DAY, rows), 0) + at
    held = pa.array(late, mask=None if is_late else rng.random(rows) < 0.5)
    columns = {
        "customer": pa.array(rng.integers(-customers, customers, rows), mask=rng.random(rows) < 0.01),
        "store": pa.array([None if x == 0 else "é" * int(x) for x in rng.integers(0, 6, rows)]),
        "amount": pa.array(rng.normal(size=rows) * 10.0 ** rng.integers(-3, 9, rows), mask=rng.random(rows) < 0.1),
        "pieces": pa.array(rng.integers(-(2**62), 2**62, rows), mask=rng.random(rows) < 0.1),
        "is_gift": pa.array(rng.random(rows) < 0.5, mask=rng.random(rows) < 0.1),
        "due": pa.array(rng.integers(0, 20_000, rows).astype(np.int32)).cast(pa.date32()),
        "ordered_at": pa.array(at).cast(STAMP),
    }
    return with_system(columns, held, seed)


def with_system(columns: dict, held: pa.Array, load: int) -> pa.Table:
    rows = len(columns["ordered_at"])
    table = pa.table({field.name: columns[field.name] for field in SCHEMA.to_arrow()}).cast(SCHEMA.to_arrow())
    table = table.append_column("_ingested_at", held.cast(STAMP))
    return table.append_column("_seq", pa.array((load << 40) + np.arange(rows, dtype=np.int64)))


@dataclass
class World:
    home: Path
    tables: DeltaTables
    engine: DuckdbEngine
    ledger: SqlLedger
    store: LmdbStore

    @classmethod
    def at(cls, home: Path, ledger: SqlLedger | None = None) -> "World":
        tables = DeltaTables(home / "tables")
        engine = DuckdbEngine(tables, directory=home / "spill", memory_limit="500MB", threads=1)
        ledger = ledger or SqlLedger(f"sqlite:///{home}/ledger.db")
        return cls(home, tables, engine, ledger, LmdbStore(home / "online"))

    def load(self, table: pa.Table) -> int:
        return self.tables.append(TABLE, table.to_reader())

    def materialize(self, view: WindowedAggregate, as_of: int, **more) -> MaterializationRecord:
        ports = {"engine": self.engine, "tables": self.tables, "store": self.store, "ledger": self.ledger}
        return materialize(view, FINGERPRINT, as_of=as_of, **(ports | more))

    def reader(self, *views: WindowedAggregate) -> FeatureReader:
        names = dict.fromkeys(key for view in views for key in view.keys)
        keys = Schema.of((name, SCHEMA.type_of(name)) for name in names)
        return FeatureReader(self.store, [(view, FINGERPRINT) for view in views], keys)

    def entities(self, view: WindowedAggregate, boundary: int) -> list[tuple]:
        """Every key with a row before the boundary, by plain Python over the newest snapshot."""
        scan = self.engine.scan(view.relation, columns=[*view.keys, "ordered_at"]).reader().read_all()
        at = scan["ordered_at"].cast(pa.int64()).to_pylist()
        keys = zip(*(scan[key].to_pylist() for key in view.keys), strict=True)
        return sorted({key for key, ts in zip(keys, at, strict=True) if ts < boundary and None not in key})

    def expected(self, view: WindowedAggregate, entities: list[tuple], instant: int) -> dict[str, list]:
        """The engine's own values for these entities at an instant."""
        if not entities:
            return {name: [] for name in view.schema.names}
        arrow = Schema.of((key, SCHEMA.type_of(key)) for key in view.keys).to_arrow()
        columns = [
            pa.array(column, field.type) for column, field in zip(zip(*entities, strict=True), arrow, strict=True)
        ]
        spine = pa.table(
            [*columns, pa.array([instant] * len(entities)).cast(STAMP)],
            schema=pa.schema([*arrow, pa.field(EVENT_TIME, STAMP)]),
        )
        found = self.engine.features(spine.to_reader(), [view]).reader().read_all()
        return {name: found[name].to_pylist() for name in view.schema.names}


def bits(values):
    """Values in a form in which equal means equal bit for bit."""
    return [struct.pack("<d", value) if isinstance(value, float) else value for value in values]


def assert_online(world: World, view: WindowedAggregate, record: MaterializationRecord) -> None:
    """The store holds for each entity exactly the engine's values at the record's boundary, and nothing else."""
    pinned = view.at(record.version)
    entities = world.entities(pinned, record.boundary)
    expected = world.expected(pinned, entities, record.boundary + view.lag)
    rows = world.reader(view).read(entities, at=record.boundary + view.lag)
    assert not rows.is_missing[view.name].any()
    assert not rows.is_stale[view.name].any()
    assert set(rows.boundaries[view.name].tolist()) <= {record.boundary}
    assert set(rows.versions[view.name].tolist()) <= {record.version}
    for name, values in rows.values.items():
        assert bits(values) == bits(expected[name]), name
    assert record.rows == len(entities) == world.store.count(f"{view.name}@{FINGERPRINT}")


def say(what: str, done: int, total: int | None = None) -> None:
    sys.stdout.write(f"{done}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    home, as_of, batch_rows = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    World.at(home).materialize(SPEND, as_of, batch_rows=batch_rows, progress=say)
