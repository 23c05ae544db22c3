"""One version a table."""

from __future__ import annotations

import pyarrow as pa
import pytest

from inseam.adapters.delta.tables import DeltaTables
from inseam.ir.relation import Relation
from inseam.ir.spine import RowsSpine, TableSpine, WildcardSpine
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.clock import Step
from inseam.kernel.errors import NotFoundError
from inseam.kernel.types import Schema
from inseam.ports.pin import pinned_spine, pinned_views, relations_of, versions

SCHEMA = Schema.of([("k", "int64"), ("at", "timestamp")])


@pytest.fixture
def tables(tmp_path):
    made = DeltaTables(tmp_path)
    rows = pa.table({"k": pa.array([1]), "at": pa.array([1], pa.timestamp("us", tz="UTC"))})
    for name in ("a", "b", "b"):
        made.append(name, rows.to_reader())
    return made


def test_the_newest_version_unless_one_is_named(tables):
    a, b = Relation("a", "at", SCHEMA), Relation("b", "at", SCHEMA)
    assert versions(tables, [b, a]) == {"a": 0, "b": 1}
    assert versions(tables, [b, b.at(0)]) == {"b": 0}
    with pytest.raises(NotFoundError):
        versions(tables, [Relation("c", "at", SCHEMA)])


def test_spine_and_views_read_it(tables):
    view = WindowedAggregate("v", Relation("a", "at", SCHEMA), ("k",), Step(0), 0, ())
    spine = RowsSpine(Relation("b", "at", SCHEMA), ("k",))
    brought = TableSpine("f.csv", "d", ("k",), "at", SCHEMA)
    at = versions(tables, relations_of(spine, [view]))
    assert [v.relation.version for v in pinned_views([view], at)] == [0]
    assert pinned_spine(spine, at).relation.version == 1
    assert relations_of(brought, [view]) == [view.relation]
    assert pinned_spine(brought, {}) is brought


def test_a_wildcard_reads_it_too(tables):
    view = WindowedAggregate("v", Relation("a", "at", SCHEMA), ("k",), Step(0), 0, ())
    spine = WildcardSpine(RowsSpine(Relation("b", "at", SCHEMA), ("k",)), view, "w")
    at = versions(tables, relations_of(spine, []))
    pinned = pinned_spine(spine, at)
    assert (pinned.within.relation.version, pinned.members.relation.version) == (1, 0)
