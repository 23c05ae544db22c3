"""A project that computes on Spark: the training set, the online rows and the scores that DuckDB made, to the bit."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from inseam.run.settings import read_settings
from inseam.run.workspace import Workspace
from inseam.run.workspace import open as open_workspace
from inseam.testing.spark import missing

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("spark"),
]
ENTITIES = [{"customer_id": number} for number in range(320)]


@pytest.fixture
def on_spark(served_project: Path, tmp_path: Path) -> Iterator[Workspace]:
    from inseam.adapters.spark.session import close

    root = tmp_path / "copied"
    shutil.copytree(served_project, root)
    with Workspace(
        read_settings(root, variables={"INSEAM_ENGINE": "spark", "INSEAM_ENGINE_URL": "local[2]"})
    ) as opened:
        yield opened
    close()


def test_what_spark_computes_is_what_duckdb_computed(on_spark: Workspace, tmp_path: Path) -> None:
    with open_workspace(on_spark.settings.root) as workspace:
        name = workspace.models()[0]
        training_set = workspace.build("will_lapse")
        rows = workspace.fetch(["spend"], ENTITIES)
        workspace.score(name, out=tmp_path / "duckdb.parquet")
    Path(training_set.path).unlink()
    shutil.rmtree(on_spark.settings.directory / "online")

    assert on_spark.build("will_lapse").digest == training_set.digest
    on_spark.materialize("spend")
    found = on_spark.fetch(["spend"], ENTITIES)
    assert found.values == rows.values
    on_spark.score(name, out=tmp_path / "spark.parquet")
    one, other = (pq.read_table(tmp_path / f"{engine}.parquet") for engine in ("duckdb", "spark"))
    keys = [("customer_id", "ascending")]
    assert one.drop_columns(["event_time"]).sort_by(keys) == other.drop_columns(["event_time"]).sort_by(keys)
