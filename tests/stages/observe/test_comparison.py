"""Reads against their recomputation: to the bit, and by cause."""

import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from inseam.ir.functions import FunctionRef
from inseam.ir.on_demand import OnDemandSpec
from inseam.ir.reservoir import Reservoir
from inseam.ir.windows import EVENT_TIME
from inseam.kernel.types import DataType, Field
from inseam.stages.observe.audit import audit_function, audit_view, draw_entities
from inseam.stages.observe.audited import Audited, interval
from inseam.stages.observe.reads import Reads, differing, shown

BLANK = Audited("feature_view:spend", "lapse", "f", 10)


def audited(world, reads, *, is_tiled=False):
    return audit_view(
        BLANK, world.view, reads, world.view.at, engine=world.engine, tables=world.tables, is_tiled=is_tiled
    )


def rewrite(world, where):
    """Replace the table by those of its rows; the files that it had."""
    table = world.view.relation.table
    files = world.tables.snapshot(table).files
    world.tables.replace(table, world.engine.scan(world.view.relation, where=where).reader().read_all().to_reader())
    return files


def test_what_was_right_stays_right_while_rows_come_that_were_not_known_then(world):
    reads = world.read(0, 1, 2, 3, 99)
    world.append((1, 8, 5.0, "late", 11), (2, 12, 7.0, "later", 12))
    found = audited(world, reads)
    assert (found.rows, found.equal, found.agreement, dict(found.causes)) == (4, 4, 1.0, {})
    assert found.low == pytest.approx(0.025 ** (1 / 4)) and found.high == 1.0


def test_a_row_that_counts_in_the_past_and_came_after_the_read_is_late(world):
    reads = world.read(0, 1, 2, 3)
    world.append((2, 8, 5.0, "z", None))
    found = audited(world, reads)
    assert dict(found.causes) == {"late rows": 1}
    (difference,) = found.differences
    assert (difference.entity, difference.feature, difference.read, difference.recomputed) == (
        {"customer": 2}, "orders", 1, 2,
    )  # fmt: skip
    assert difference.boundary == "1970-01-11T00:00:00Z"


def test_a_table_whose_rows_went_was_rewritten(world):
    reads = world.read(0, 1, 2, 3)
    rewrite(world, "customer <> 1")
    assert dict(audited(world, reads).causes) == {"rewritten": 1}


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"orders": 3.0}, "orders"),
        ({"spend": 0.30000000000000010}, "spend"),
        ({"store": None}, "store"),
        ({"since": np.datetime64("NaT")}, "since"),
    ],
)
def test_what_its_own_snapshot_does_not_give_is_the_codes(world, wrong, name):
    found = audited(world, world.read(0, 1, 2, **wrong))
    assert dict(found.causes) == {"code": 1}
    assert [difference.feature for difference in found.differences] == [name]


def test_sums_of_tiles_may_differ_in_the_last_bits_and_nothing_else_may(world):
    close = np.nextafter(world.read(0, 1).values["spend"][0], 1.0)
    assert audited(world, world.read(0, 1, spend=close)).equal == 0
    assert audited(world, world.read(0, 1, spend=close), is_tiled=True).equal == 1
    assert audited(world, world.read(0, 1, spend=close * (1 + 1e-8)), is_tiled=True).equal == 0
    assert audited(world, world.read(0, 1, orders=2.0000000001), is_tiled=True).equal == 0


def test_a_snapshot_that_is_gone_leaves_the_present_to_tell(world, tmp_path):
    reads = world.read(0, 1, 2)
    world.append((2, 8, 5.0, "z", None))
    # As after a vacuum: the rows are in newer files, and those of the old snapshots are gone.
    for file in rewrite(world, "true"):
        shutil.move(file, tmp_path)
    found = audited(world, reads)
    assert dict(found.causes) == {"snapshot gone": 1}
    assert found.equal == 1


def test_the_snapshots_of_what_differs_are_looked_at_first(world):
    wrong = world.read(0, 2, orders=9.0)
    for day in range(20, 40):
        world.append((1, day, 1.0, "x", day))
    many = [world.read(version, 1) for version in range(1, 21)] + [wrong]
    together = Reads(
        pa.concat_tables([one.keys for one in many]),
        np.concatenate([one.boundaries for one in many]),
        np.concatenate([one.versions for one in many]),
        {name: np.concatenate([one.values[name] for one in many]) for name in wrong.values},
    )
    found = audited(world, together)
    assert (found.rows, dict(found.causes)) == (21, {"code": 1})


def test_bits_are_compared_and_null_equals_null_alone():
    floats = np.array([0.0, np.nan, 1.0, np.nan])
    assert differing(floats, np.array([-0.0, np.nan, 1.0, 2.0]), DataType.FLOAT64).tolist() == [
        True,
        False,
        False,
        True,
    ]
    texts = np.array(["a", None, "b"], object)
    assert differing(texts, np.array(["a", None, None], object), DataType.STRING).tolist() == [False, False, True]
    assert shown(np.datetime64(19, "D"), DataType.DATE) == "1970-01-20"
    assert shown(np.float64(1), DataType.BOOL) is True and shown(np.nan, DataType.INT64) is None


def test_entities_are_drawn_from_all_that_have_a_row_before_the_boundary(world):
    keys, population = draw_entities(world.engine, world.view.relation, ("customer",), world.view.boundary(10**12), 2)
    assert (keys.num_rows, population) == (2, 3)


def test_every_row_has_the_same_chance():
    counts = np.zeros(100)
    for seed in range(400):
        reservoir = Reservoir(pa.schema([("n", pa.int64())]), 10, seed)
        for start in range(0, 100, 7):
            reservoir.offer(pa.table({"n": np.arange(start, min(start + 7, 100))}))
        assert (reservoir.offered, reservoir.rows.num_rows) == (100, 10)
        counts[reservoir.rows["n"].to_numpy()] += 1
    assert counts.min() >= 20 and counts.max() <= 64  # 40 expected, standard deviation 6


def ratio(spend, basket, event_time):
    return basket / (spend + 1)


def test_on_demand_features_are_called_again_with_what_was_logged(world):
    numbers = DataType.FLOAT64
    spec = OnDemandSpec(
        "ratio", numbers, FunctionRef("m", "ratio", "d"), (Field("spend", numbers),), (Field("basket", numbers),), True
    )
    columns = {
        "spend": np.array([1.0, 3.0, np.nan]), "basket": np.array([4.0, 2.0, 1.0]),
        "ratio": np.array([2.0, 0.6, np.nan]), EVENT_TIME: np.zeros(3, "datetime64[us]"),
    }  # fmt: skip
    keys = pa.table({"customer": [1, 2, 3]})
    blank = replace(BLANK, subject="on_demand:ratio")
    found = audit_function(blank, spec, ratio, columns, keys)
    assert (found.rows, found.equal, dict(found.causes)) == (3, 2, {"function": 1})
    (difference,) = found.differences
    assert (difference.entity, difference.read, difference.recomputed) == ({"customer": 2}, 0.6, 0.5)


def test_the_interval_is_that_of_clopper_and_pearson():
    assert interval(0, 0) == (0.0, 1.0)
    low, high = interval(98, 100)
    assert (round(low, 4), round(high, 4)) == (0.9296, 0.9976)  # a published table's
    assert audit_function(BLANK, None, None, {}, pa.table({"customer": []})).agreement is None
