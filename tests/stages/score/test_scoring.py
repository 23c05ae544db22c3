"""Batch scoring of real bundles over real tables."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeClassifier

from inseam.adapters.delta.tables import DeltaTables
from inseam.adapters.duckdb.engine import DuckdbEngine
from inseam.adapters.sklearn.format import SklearnFormat
from inseam.ir.aggregates import AggregateKind, AggregateSpec
from inseam.ir.encoding import EncodedColumn, Encoding
from inseam.ir.functions import FunctionRef
from inseam.ir.on_demand import OnDemandSpec
from inseam.ir.relation import Relation
from inseam.ir.spine import TableSpine
from inseam.ir.training import Task
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.clock import DAY, Step
from inseam.kernel.errors import DataError
from inseam.kernel.types import DataType, Field, Schema
from inseam.ports.bundle import BundleManifest, ViewUse, digest, open_bundle, write_manifest
from inseam.stages.score.entities import entities_at
from inseam.stages.score.scoring import score

TABLE = "sources/orders"
START = 19_000 * DAY
RELATION = Relation(TABLE, "at", Schema.of([("customer", "string"), ("amount", "float64"), ("at", "timestamp")]))
N, SPEND = Field("n", DataType.INT64), Field("spend", DataType.FLOAT64)
VIEW = WindowedAggregate(
    "spend",
    RELATION,
    ("customer",),
    Step(DAY),
    0,
    (
        AggregateSpec("n", AggregateKind.COUNT, DataType.INT64, over=30 * DAY),
        AggregateSpec("spend", AggregateKind.SUM, DataType.FLOAT64, "amount", 30 * DAY),
    ),
)
WHEN = pa.timestamp("us", tz="UTC")


def per_order(n: np.ndarray, spend: np.ndarray) -> np.ndarray:
    return np.nan_to_num(spend) / (n + 1)


def orders(rows, load=0):
    columns = [pa.array([row[i] for row in rows], type_) for i, type_ in enumerate((pa.string(), pa.float64(), WHEN))]
    columns += [pa.nulls(len(rows), WHEN), pa.array(np.arange(len(rows)) + (load << 40))]
    return pa.table(columns, names=["customer", "amount", "at", "_ingested_at", "_seq"]).to_reader()


@pytest.fixture
def tables(tmp_path):
    made = DeltaTables(tmp_path / "tables")
    made.append(TABLE, orders([("ann", 5.0, START), ("bob", 7.0, START + 10 * DAY), ("ann", 1.0, START + 20 * DAY)]))
    return made


@pytest.fixture
def engine(tables, tmp_path):
    return DuckdbEngine(tables, directory=tmp_path / "work", memory_limit="512MB")


@pytest.fixture
def bundle(tmp_path):
    def make(model, task, classes=(), inputs=()):
        spec = OnDemandSpec("per_order", DataType.FLOAT64, FunctionRef.of(per_order), (N, SPEND), ())
        names = ("n", "per_order", *(field.name for field in inputs))
        columns = tuple(EncodedColumn(name, DataType.FLOAT64) for name in names)
        directory = tmp_path / f"bundle-{task}"
        directory.mkdir()
        draw = np.random.default_rng(1)
        matrix = draw.normal(size=(60, len(names)))
        model.fit(matrix, np.arange(60) % len(classes) if classes else matrix @ np.arange(1, len(names) + 1))
        SklearnFormat().save(model, directory, example=matrix)
        views = (ViewUse("spend", "f", (N, SPEND)),)
        key = (Field("customer", DataType.STRING),)
        manifest = BundleManifest(
            "lapse", "sklearn", task, classes, key, views, inputs, (spec,), Encoding(columns), "t", "d"
        )
        write_manifest(directory, manifest)
        return open_bundle(directory, digest(directory))

    return make


def run(bundle, spine, engine, tables, out):
    return score(bundle, spine, (VIEW,), version=3, engine=engine, tables=tables, out=out)


def test_all_entities_at_an_instant(bundle, engine, tables, tmp_path):
    asked = bundle(LinearRegression(), Task.REGRESSION)
    at = START + 30 * DAY
    result = run(asked, entities_at(RELATION, ("customer",), at), engine, tables, tmp_path / "scores.parquet")
    rows = pq.read_table(result.out)
    assert rows.schema.names == ["customer", "event_time", "prediction", "model", "version"]
    assert rows["customer"].to_pylist() == ["ann", "bob"]
    assert rows["event_time"].cast(pa.int64()).to_pylist() == [at, at]
    columns = {
        "n": np.array([2.0, 1.0]),
        "spend": np.array([6.0, 7.0]),
        "event_time": np.array([at, at]).astype("datetime64[us]"),
    }
    assert rows["prediction"].to_pylist() == asked.predict(columns).tolist()
    assert set(rows["model"].to_pylist()) == {"lapse"}
    assert set(rows["version"].to_pylist()) == {3}
    assert (result.model, result.version, result.rows, result.snapshots) == ("lapse", 3, 2, {TABLE: 0})


@pytest.mark.parametrize(
    ("at", "active", "expected"),
    [
        (START, None, []),
        (START + 1, None, ["ann"]),
        (START + 10 * DAY, None, ["ann"]),
        (START + 10 * DAY + 1, None, ["ann", "bob"]),
        (START + 900 * DAY + 12_345, None, ["ann", "bob"]),
        (START + 20 * DAY + 5, 15 * DAY, ["ann", "bob"]),
        (START + 30 * DAY, 15 * DAY, ["ann"]),
    ],
)
def test_an_entity_is_asked_once_and_only_after_its_first_row(engine, at, active, expected):
    spine = engine.spine(entities_at(RELATION, ("customer",), at, active)).reader().read_all()
    assert spine["customer"].to_pylist() == expected
    assert set(spine["event_time"].cast(pa.int64()).to_pylist()) <= {at}


def test_binary_gives_the_probability_and_multiclass_all_of_them(bundle, engine, tables, tmp_path):
    spine = entities_at(RELATION, ("customer",), START + 30 * DAY)
    two = bundle(DecisionTreeClassifier(max_depth=2, random_state=0), Task.BINARY, (False, True))
    rows = pq.read_table(run(two, spine, engine, tables, tmp_path / "two.parquet").out)
    assert rows.schema.names == ["customer", "event_time", "probability", "model", "version"]
    assert all(0 <= p <= 1 for p in rows["probability"].to_pylist())
    three = bundle(DecisionTreeClassifier(max_depth=2, random_state=0), Task.MULTICLASS, ("low", "mid", "top"))
    for row in pq.read_table(run(three, spine, engine, tables, tmp_path / "three.parquet").out).to_pylist():
        shares = {label: row[f"probability_{label}"] for label in ("low", "mid", "top")}
        assert sum(shares.values()) == pytest.approx(1)
        assert shares[row["class"]] == max(shares.values())


def test_a_table_takes_each_scoring_as_one_commit(bundle, engine, tables):
    asked = bundle(LinearRegression(), Task.REGRESSION)
    for place, day in enumerate((30, 40)):
        result = run(asked, entities_at(RELATION, ("customer",), START + day * DAY), engine, tables, "scores/lapse")
        assert (result.table_version, result.rows) == (place, 2)
    snapshot = tables.snapshot("scores/lapse")
    assert ds.dataset(list(snapshot.files)).count_rows() == snapshot.rows == 4


def test_a_spine_file_brings_inputs_in_its_own_order(bundle, engine, tables, tmp_path):
    basket = Field("basket", DataType.FLOAT64)
    asked = bundle(LinearRegression(), Task.REGRESSION, inputs=(basket,))
    path = tmp_path / "asked.csv"
    path.write_text("customer,event_time,basket\nbob,2022-02-01,3\nzoe,2022-01-20,\nann,2022-01-15,1\n")
    schema = Schema.of([("customer", "string"), ("event_time", "timestamp"), ("basket", "float64")])
    spine = TableSpine(str(path), "d", ("customer",), "event_time", schema)
    # A linear model refuses NULL: the file's NULL basket has to reach it as NaN to be refused.
    with pytest.raises(DataError, match="NaN"):
        run(asked, spine, engine, tables, tmp_path / "s.parquet")
    assert not (tmp_path / "s.parquet").exists()
    path.write_text(path.read_text().replace("zoe,2022-01-20,", "zoe,2022-01-20,2"))
    rows = pq.read_table(run(asked, spine, engine, tables, tmp_path / "s.parquet").out)
    assert rows["customer"].to_pylist() == ["bob", "zoe", "ann"]
    assert rows.schema.names == ["customer", "event_time", "prediction", "model", "version"]


def test_inputs_that_nothing_gives_are_named(bundle, engine, tables, tmp_path):
    asked = bundle(LinearRegression(), Task.REGRESSION, inputs=(Field("basket", DataType.FLOAT64),))
    with pytest.raises(DataError, match="nothing gives basket"):
        run(asked, entities_at(RELATION, ("customer",), START + DAY), engine, tables, tmp_path / "s.parquet")


def test_it_reads_one_version_and_says_which(bundle, engine, tables, tmp_path):
    asked = bundle(LinearRegression(), Task.REGRESSION)
    spine = entities_at(RELATION, ("customer",), START + 30 * DAY)
    tables.append(TABLE, orders([("cat", 2.0, START + DAY)], 1))

    class Late:
        """The engine; while it reads the spine somebody ingests."""

        def spine(self, of):
            found = engine.spine(of).reader().read_all()
            tables.append(TABLE, orders([("ann", 100.0, START + 2 * DAY), ("dan", 1.0, START)], 2))
            return found.to_reader()

        def features(self, rows, views):
            self.versions = {view.relation.version for view in views}
            return engine.features(rows, views)

    late = Late()
    result = run(asked, spine, late, tables, tmp_path / "s.parquet")
    assert result.snapshots == {TABLE: 1}
    assert late.versions == {1}
    assert pq.read_table(result.out)["customer"].to_pylist() == ["ann", "bob", "cat"]
