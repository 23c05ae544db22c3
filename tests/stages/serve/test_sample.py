"""A sample of the prediction log: of its segments and of its table alike, whatever types its columns have had."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from log_entries import CONTEXT, batch

from inseam.adapters.delta.tables import DeltaTables
from inseam.ir.aggregates import AggregateKind, AggregateSpec
from inseam.ir.relation import Relation
from inseam.ir.training import EndpointSpec
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.clock import DAY, Step
from inseam.kernel.types import DataType, Field, Schema
from inseam.stages.serve.compact import compact
from inseam.stages.serve.log import PredictionLog
from inseam.stages.serve.sample import draw

AT = 1_790_000_000_000_000


def endpoint(type_: DataType) -> EndpointSpec:
    relation = Relation("sources/rows", "at", Schema.of([("k", "string"), ("at", "timestamp"), ("c", type_)]))
    view = WindowedAggregate(
        "v", relation, ("k",), Step(DAY), 0, (AggregateSpec("x", AggregateKind.LAST, type_, "c"),)
    )  # fmt: skip
    keys = (Field("k", DataType.STRING),)
    return EndpointSpec("lapse", "lapse", keys, (view,), (), view.schema.fields, (), "missing", {}, 100, None, "")


def logged(directory: Path) -> None:
    """Five predictions with a number, five with a text of the same name, and five that were given their features."""
    text = msgspec.structs.replace(CONTEXT, id="t" * 16, features=(("x", DataType.STRING),))
    texts = msgspec.structs.replace(batch(2.0, 5, text), features=[["a", None, "b", "c", "d"]])
    given = msgspec.structs.replace(batch(3.0, 5), boundaries=[], versions=[], missing=[], stale=[])
    log = PredictionLog(directory)
    log.append([(CONTEXT, batch(1.0, 5)), (text, texts), (CONTEXT, given)])
    log.close()


@pytest.mark.parametrize("is_compacted", [False, True])
def test_columns_are_those_of_the_type_that_is_asked_for(tmp_path: Path, *, is_compacted: bool) -> None:
    tables = DeltaTables(tmp_path / "tables")
    logged(tmp_path / "log")
    if is_compacted:
        compact(tmp_path / "log", tables)
    numbers = draw(tmp_path / "log", tables, endpoint(DataType.FLOAT64), since=AT, most=100)
    assert (numbers.population, len(numbers.at), set(numbers.at)) == (15, 15, {AT})
    assert sorted(numbers.columns["x"])[:10] == [1.0] * 5 + [3.0] * 5
    assert np.isnan(sorted(numbers.columns["x"])[10:]).all()
    assert numbers.keys["k"].to_pylist() == ["a"] * 15
    assert sorted(numbers.views["v"].is_read.tolist()) == [False] * 5 + [True] * 10
    texts = draw(tmp_path / "log", tables, endpoint(DataType.STRING), since=AT, most=100)
    assert sorted(cell for cell in texts.columns["x"] if cell is not None) == ["a", "b", "c", "d"]


def test_it_is_drawn_from_the_instant_on_from_both_places_and_each_once(tmp_path: Path) -> None:
    tables = DeltaTables(tmp_path / "tables")
    logged(tmp_path / "log")
    compact(tmp_path / "log", tables)
    logged(tmp_path / "log")
    spec = endpoint(DataType.FLOAT64)
    assert draw(tmp_path / "log", tables, spec, since=AT + 1, most=100).population == 0
    few = draw(tmp_path / "log", tables, spec, since=AT, most=7, seed=1)
    assert (few.population, len(few.at)) == (30, 7)
    (segment,) = (tmp_path / "log").glob("*.seg")
    copy = segment.read_bytes()
    compact(tmp_path / "log", tables)
    segment.write_bytes(copy)  # as one that was read before it was moved, and its rows again in the table
    assert draw(tmp_path / "log", tables, spec, since=AT, most=100).population == 30
