"""Training sets, built by the real engine from real tables and held against a brute-force reading of their meaning."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inseam.ir.aggregates import AggregateKind, AggregateSpec
from inseam.ir.functions import FunctionRef
from inseam.ir.records import SourceSchemaRecord, TrainingSetRecord
from inseam.ir.spine import RowsSpine, TableSpine, WildcardSpine
from inseam.ir.training import LabelSpec, SplitSpec
from inseam.kernel.clock import DAY
from inseam.kernel.errors import DataError, DefinitionError, NotFoundError
from inseam.kernel.types import DataType, Field, Schema

HERE = Path(__file__).parent


@pytest.fixture(scope="module", autouse=True)
def shop_module():
    sys.path.insert(0, str(HERE))
    import orders_world

    yield orders_world
    sys.path.remove(str(HERE))


@pytest.fixture
def shop(shop_module, tmp_path):
    made = shop_module.Shop(tmp_path)
    made.tables.append(shop_module.TABLE, shop_module.arrow(shop_module.orders()))
    return made


def read(record):
    rows = pq.read_table(record.path)
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        if pa.types.is_timestamp(column.type):
            rows = rows.set_column(rows.column_names.index(name), name, column.cast(pa.int64()))
    return rows.to_pylist()


def ripe_spine(orders, step, active, until):
    """Every (instant, customer) of the grid with an order in the `active` before it, at or before `until`."""
    low, high = orders[0][3], orders[-1][3]
    found = []
    for instant in range(low - low % step + step * (low % step > 0), high + 1, step):
        if instant <= until:
            found += [
                (instant, c) for c in range(50) if any(r[0] == c and r[3] < instant <= r[3] + active for r in orders)
            ]
    return found


def features(orders, instant, customer):
    boundary = instant - instant % DAY
    seen = [row for row in orders if row[0] == customer and row[3] < boundary]
    window = [row for row in seen if row[3] >= boundary - 30 * DAY]
    amounts = [row[1] for row in window if row[1] is not None]
    spend = sum(amounts) if amounts else None
    return {
        "n_30d": len(window),
        "spend_30d": spend,
        "last_store": seen[-1][2] if seen else None,
        "ratio": spend / len(window) if spend is not None else None,
    }


def test_rows_are_what_the_definition_says(shop, shop_module):
    orders = shop_module.orders()
    record = shop.build()
    until = orders[-1][3] - 21 * DAY
    spine = ripe_spine(orders, 7 * DAY, 90 * DAY, until)
    first, last = spine[0][0], spine[-1][0]
    split = last - round((last - first) * 0.25)
    expected = []
    purged = 0
    for instant, customer in spine:
        if instant < split < instant + 21 * DAY:
            purged += 1
            continue
        ahead = [row for row in orders if row[0] == customer and instant <= row[3] < instant + 21 * DAY]
        row = {"customer_id": customer, "event_time": instant, **features(orders, instant, customer)}
        expected.append(row | {"label": not ahead, "part": "test" if instant >= split else "train"})
    rows = read(record)
    assert rows == expected
    assert list(rows[0]) == ["customer_id", "event_time", "n_30d", "spend_30d", "last_store", "ratio", "label", "part"]
    unripe = len(ripe_spine(orders, 7 * DAY, 90 * DAY, orders[-1][3])) - len(spine)
    test = sum(row["part"] == "test" for row in expected)
    assert record.rows == len(expected) > 100
    assert record.counts == {
        "rows": len(expected),
        "train": len(expected) - test,
        "test": test,
        "purged": purged,
        "unripe": unripe,
        "dropped_null_label": 0,
        "split_at": split,
        "positive_rate": pytest.approx(sum(row["label"] for row in expected) / len(expected)),
    }
    assert purged > 0 < unripe
    assert record.snapshots == {"sources/orders": 0}


def test_statistics_are_of_each_part(shop):
    record = shop.build()
    rows = read(record)
    for part in ("train", "test"):
        mine = [row for row in rows if row["part"] == part]
        statistics = record.statistics[part]
        assert list(statistics) == ["n_30d", "spend_30d", "last_store", "ratio", "label"]
        assert statistics["n_30d"]["mean"] == pytest.approx(sum(row["n_30d"] for row in mine) / len(mine))
        assert statistics["spend_30d"]["nulls"] == sum(row["spend_30d"] is None for row in mine)
        assert dict(map(tuple, statistics["last_store"]["top"]))["a"] == sum(r["last_store"] == "a" for r in mine)


def test_the_same_set_is_written_once(shop):
    record = shop.build()
    before = Path(record.path).stat()
    assert shop.build() == record
    assert Path(record.path).stat().st_ino == before.st_ino
    assert [path.name for path in Path(record.path).parent.iterdir()] == [f"{record.fingerprint}.parquet"]


def test_new_data_make_a_new_set_and_leave_the_old(shop, shop_module):
    old = shop.build()
    shop.tables.append(shop_module.TABLE, shop_module.arrow(shop_module.orders(seed=2), 1))
    new = shop.build()
    assert new.snapshots == {"sources/orders": 1}
    assert new.fingerprint != old.fingerprint
    assert new.digest != old.digest
    assert Path(old.path).is_file()


def test_a_definition_s_fingerprint_makes_another_set_of_the_same_rows(shop, shop_module):
    old = shop.build()
    new = shop.build(replace(shop_module.SPEC, fingerprint="lapse-2"))
    assert (new.fingerprint != old.fingerprint, new.digest) == (True, old.digest)


def test_a_lost_file_is_built_again_with_the_same_digest(shop):
    old = shop.build()
    Path(old.path).unlink()
    new = shop.build()
    assert (new.fingerprint, new.digest, new.rows) == (old.fingerprint, old.digest, old.rows)
    assert Path(new.path).is_file()


def test_a_rebuild_that_differs_is_refused(shop):
    old = shop.build()
    Path(old.path).unlink()
    shop.ledger.put(replace(old, digest="0" * 64))
    with pytest.raises(DataError, match="other rows"):
        shop.build()


def test_a_moved_directory_takes_its_sets_along(shop):
    old = shop.build()
    shop.ledger.put(replace(old, path="/elsewhere/set.parquet"))
    assert shop.build() == old == shop.ledger.get(TrainingSetRecord, old.fingerprint)


class Crumbs:
    """The engine, with its rows in batches of a few."""

    def __init__(self, engine, size):
        self._engine, self._size = engine, size

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def features(self, spine, views):
        return self._cut(self._engine.features(self._cut(spine), views))

    def _cut(self, rows):
        return rows.map(self._slices, rows.schema)

    def _slices(self, batches):
        return (batch.slice(at, self._size) for batch in batches for at in range(0, batch.num_rows, self._size))


def test_the_digest_knows_nothing_of_batches(shop, shop_module):
    record = shop.build()
    crumbs = shop.build(replace(shop_module.SPEC, fingerprint="crumbs"), engine=Crumbs(shop.engine, 7))
    assert crumbs.digest == record.digest
    assert crumbs.counts == record.counts


def test_a_declared_watermark_decides_what_is_ripe(shop, shop_module):
    whole = shop.build()
    early = shop_module.START + 150 * DAY
    shop.ledger.put(SourceSchemaRecord("orders", {}, early))
    record = shop.build()
    assert record.fingerprint != whole.fingerprint
    assert max(row["event_time"] for row in read(record)) <= early - 21 * DAY
    assert record.counts["unripe"] > whole.counts["unripe"]


def test_no_ripe_row_is_an_error_that_says_when(shop, shop_module):
    shop.ledger.put(SourceSchemaRecord("orders", {}, shop_module.START))
    with pytest.raises(DataError, match=r"none of the spine's .* rows has a label"):
        shop.build()
    assert shop.ledger.select(TrainingSetRecord) == []


def test_a_null_label_is_left_out_and_counted(shop, shop_module):
    mean = AggregateSpec("label_value", AggregateKind.MEAN, DataType.FLOAT64, "amount")
    window = shop_module.forward(mean, 21 * DAY)
    compared = replace(shop_module.SPEC, label=LabelSpec(DataType.BOOL, window, ">", 20), fingerprint="compared")
    plain = replace(shop_module.SPEC, label=LabelSpec(DataType.FLOAT64, window), fingerprint="plain")
    one, other = shop.build(compared), shop.build(plain)
    orders = shop_module.orders()
    for row, number in zip(read(one), read(other), strict=True):
        ahead = [
            r[1] for r in orders
            if r[0] == row["customer_id"] and 0 <= r[3] - row["event_time"] < 21 * DAY and r[1] is not None
        ]  # fmt: skip
        assert number["label"] == pytest.approx(sum(ahead) / len(ahead), rel=1e-9)
        assert row["label"] is (number["label"] > 20)
    assert one.counts["dropped_null_label"] == other.counts["dropped_null_label"] > 0
    assert other.counts["label_mean"] == pytest.approx(sum(r["label"] for r in read(other)) / other.rows)
    assert "positive_rate" not in other.counts


def test_a_spine_of_rows_carries_columns_and_its_own_label(shop, shop_module):
    spec = replace(
        shop_module.SPEC,
        spine=RowsSpine(shop_module.RELATION, ("customer_id",), ("amount", "store")),
        features=(Field("n_30d", DataType.INT64), Field("amount", DataType.FLOAT64)),
        label=LabelSpec(DataType.STRING, column="store"),
        on_demand=(),
        fingerprint="rows",
    )
    record = shop.build(spec)
    orders = shop_module.orders()
    rows = read(record)
    assert [(r["customer_id"], r["amount"], r["label"], r["event_time"]) for r in rows] == orders
    assert list(rows[0]) == ["customer_id", "event_time", "amount", "n_30d", "label", "part"]
    assert record.counts["unripe"] == record.counts["purged"] == 0
    assert record.counts["classes"] == {s: sum(r[2] == s for r in orders) for s in "ab"}
    assert [r["n_30d"] for r in rows] == [features(orders, r[3], r[0])["n_30d"] for r in orders]


def test_a_spine_that_the_user_brings(shop, shop_module, tmp_path):
    path = tmp_path / "asked.csv"
    path.write_text("customer_id,at,label\n3,2022-03-01,1.5\n3,2022-02-01,\n1,2022-05-01,2.5\n")
    schema = Schema.of([("customer_id", "int64"), ("at", "timestamp"), ("label", "float64")])
    spec = replace(
        shop_module.SPEC,
        spine=TableSpine(str(path), "d1", ("customer_id",), "at", schema),
        label=LabelSpec(DataType.FLOAT64, column="label"),
        split=SplitSpec(test=DAY),
        fingerprint="brought",
    )
    record = shop.build(spec)
    assert [(r["customer_id"], r["label"], r["part"]) for r in read(record)] == [(3, 1.5, "train"), (1, 2.5, "test")]
    assert record.counts["dropped_null_label"] == 1
    other = shop.build(replace(spec, spine=replace(spec.spine, digest="d2")))
    assert other.fingerprint != record.fingerprint


def test_a_wildcard_over_rows_that_the_user_brings(shop, shop_module, tmp_path):
    path = tmp_path / "asked.csv"
    path.write_text("customer_id,at\n3,2022-03-01\n1,2022-05-01\n")
    brought = TableSpine(
        str(path), "d1", ("customer_id",), "at", Schema.of([("customer_id", "int64"), ("at", "timestamp")])
    )
    ranked = [
        AggregateSpec(f"s{n}", AggregateKind.TOP_K, DataType.STRING, "store", where=where, rank=n)
        for n, where in ((1, None), (2, "FALSE"))
    ]
    members = replace(shop_module.VIEW, name="visited", aggregates=(ranked[0],))
    spec = replace(shop_module.SPEC, spine=WildcardSpine(brought, members, "shop"), fingerprint="unfolded")
    record = shop.build(spec)
    assert list(read(record)[0])[:3] == ["customer_id", "shop", "event_time"]
    other = shop.build(replace(spec, spine=replace(spec.spine, within=replace(brought, digest="d2"))))
    assert (other.fingerprint == record.fingerprint, other.digest == record.digest) == (False, True)
    with pytest.raises(DataError, match="the members that visited names"):
        nobody = replace(spec.spine, members=replace(members, aggregates=(ranked[1],)))
        shop.build(replace(spec, spine=nobody, fingerprint="nobody"))


def test_what_cannot_be_built_says_so(shop, shop_module):
    spec = shop_module.SPEC
    with pytest.raises(NotFoundError):
        shop.build(replace(spec, views=(replace(shop_module.VIEW, relation=replace(shop_module.RELATION, table="x")),)))
    asked = replace(shop_module.RATIO, inputs=(Field("basket", DataType.FLOAT64),))
    with pytest.raises(DefinitionError, match="'basket'"):
        shop.build(replace(spec, on_demand=(asked,)))
    reserved = replace(shop_module.RATIO, name="part")
    with pytest.raises(DefinitionError, match="'part'"):
        shop.build(replace(spec, on_demand=(reserved,), features=(Field("part", DataType.FLOAT64),)))
    whole = replace(shop_module.RATIO, type=DataType.INT64)
    with pytest.raises(DataError, match="on_demand:ratio"):
        shop.build(replace(spec, on_demand=(whole,)))
    failing = replace(shop_module.RATIO, function=FunctionRef.of(shop_module.fails))
    with pytest.raises(DataError, match="ZeroDivisionError"):
        shop.build(replace(spec, on_demand=(failing,)))
    assert list((shop.directory / "sets" / "lapse").iterdir()) == []


def start(directory):
    program = f"import orders_world; orders_world.main({str(directory)!r})"
    environment = os.environ | {"PYTHONPATH": str(HERE)}
    return subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True)


def test_builders_at_once_agree(shop):
    builders = [start(shop.directory) for _ in range(2)]
    said = [builder.communicate()[0].split() for builder in builders]
    digest = shop.build().digest
    assert said == [["ready", digest]] * 2
    assert len(shop.ledger.select(TrainingSetRecord)) == 1


def kill_when(builder, is_time):
    """Kill a builder as soon as it is time; whether it was still at work."""
    assert builder.stdout.readline() == "ready\n"
    while builder.poll() is None and not is_time():
        time.sleep(0.001)
    builder.kill()
    builder.communicate()
    return builder.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_a_kill_at_any_time_leaves_nothing_half_done(shop, shop_module, tmp_path):
    elsewhere = shop_module.Shop(tmp_path / "undisturbed")
    elsewhere.tables.append(shop_module.TABLE, shop_module.arrow(shop_module.orders()))
    undisturbed = start(elsewhere.directory)
    undisturbed.stdout.readline()
    began = time.monotonic()
    expected = undisturbed.communicate()[0].strip()
    whole = time.monotonic() - began
    sets = shop.directory / "sets"
    at = [lambda share=share: time.monotonic() > now + share * whole for share in (0.05, 0.3, 0.6, 0.9)]
    seen = [lambda name=name: any(sets.rglob(name)) for name in (".*.partial", "*.parquet")]
    killed = 0
    for is_time in (*at, *seen):
        now = time.monotonic()
        killed += kill_when(start(shop.directory), is_time)
        for path in sets.rglob("*.parquet"):
            pq.ParquetFile(path)
        for record in shop.ledger.select(TrainingSetRecord):
            assert (record.digest, Path(record.path).is_file()) == (expected, True)
    assert killed
    record = shop.build()
    assert record.digest == expected
    assert [path.name for path in Path(record.path).parent.iterdir()] == [f"{record.fingerprint}.parquet"]
