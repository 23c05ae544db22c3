"""A project that computes on Spark: the training set, the online rows and the scores that DuckDB made, to the bit."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inseam.kernel.clock import parse_instant
from inseam.run.settings import read_settings
from inseam.run.workspace import Workspace
from inseam.run.workspace import open as open_workspace
from inseam.testing.redis import is_installed, redis_server
from inseam.testing.spark import missing

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.slow,
    pytest.mark.timeout(600),
]
YEAR_END = parse_instant("2024-12-31")
ENTITIES = [{"customer_id": number} for number in range(320)]


SPARK = {"INSEAM_ENGINE": "spark", "INSEAM_ENGINE_URL": "local[2]"}


@pytest.fixture
def on_spark(served_project: Path, tmp_path: Path) -> Iterator[Workspace]:
    from inseam.adapters.spark.session import close

    close()
    root = tmp_path / "copied"
    shutil.copytree(served_project, root, ignore=shutil.ignore_patterns("scores"))  # other tests wrote those
    with Workspace(read_settings(root, variables=SPARK)) as opened:
        yield opened
    close()


def test_what_spark_computes_is_what_duckdb_computed(
    on_spark: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_workspace(on_spark.settings.root) as workspace:
        name = workspace.models()[0]
        training_set = workspace.build("will_lapse")
        rows = workspace.fetch(["spend"], ENTITIES)
        workspace.score(name, out=tmp_path / "duckdb.parquet", as_of=YEAR_END)
    Path(training_set.path).unlink()
    store = on_spark.context.online
    for table in store.tables():
        store.drop(table)

    assert on_spark.build("will_lapse").digest == training_set.digest
    on_spark.materialize("spend")
    found = on_spark.fetch(["spend"], ENTITIES)
    assert found.values == rows.values
    on_spark.score(name, out=tmp_path / "spark.parquet", as_of=YEAR_END)
    one, other = (pq.read_table(tmp_path / f"{engine}.parquet") for engine in ("duckdb", "spark"))
    assert one.num_rows > 0
    assert one == other
    assert on_spark.score(name, as_of=YEAR_END).rows == one.num_rows
    table = pa.concat_tables(map(pq.read_table, on_spark.context.tables.snapshot(f"scores/{name}").files))
    assert table == one
    if is_installed():
        with redis_server() as redis:
            _workers_write(redis.url, on_spark, rows.values, monkeypatch)


def _workers_write(
    url: str, on_spark: Workspace, expected: Mapping[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that workers reach is written by them: this process writes the mark alone."""
    from inseam.adapters.redis.store import RedisStore

    write, marks = RedisStore.write, []

    def write_mark(self: RedisStore, table: str, rows: Sequence[object], mark: bytes, **over: Any) -> None:
        assert not rows
        marks.append(mark)
        write(self, table, [], mark, **over)

    monkeypatch.setattr(RedisStore, "write", write_mark)
    online = {"INSEAM_ONLINE": "redis", "INSEAM_ONLINE_URL": url}
    with Workspace(read_settings(on_spark.settings.root, variables=SPARK | online)) as workspace:
        assert workspace.materialize("spend")["spend"].rows > 0
        assert workspace.fetch(["spend"], ENTITIES).values == expected
    assert len(marks) == 2
