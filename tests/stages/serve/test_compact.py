"""Compaction: exactly once whatever it is killed in, and definitions that change."""

from collections import Counter
from pathlib import Path

import msgspec
import pyarrow.dataset as ds
import pytest
from log_entries import CONTEXT, batch, outcome

from inseam.adapters.delta.tables import DeltaTables
from inseam.kernel.errors import ConflictError
from inseam.stages.serve import compact as module
from inseam.stages.serve.compact import compact
from inseam.stages.serve.find import find_prediction
from inseam.stages.serve.ids import endpoint_tag, format_id, make_ids
from inseam.stages.serve.log import PredictionLog


class Killed(BaseException):
    """Stands for kill -9: nothing of ours may catch it."""


class Dying:
    """Tables that are killed at the n-th append, before or after it is committed."""

    def __init__(self, tables: DeltaTables, at: int, *, is_after: bool) -> None:
        self._tables, self._at, self._is_after = tables, at, is_after
        self._count = 0

    def __getattr__(self, name: str):
        return getattr(self._tables, name)

    def append(self, *arguments, **options) -> int:
        self._count += 1
        if self._count == self._at and not self._is_after:
            raise Killed
        version = self._tables.append(*arguments, **options)
        if self._count == self._at:
            raise Killed
        return version


def logged(directory: Path) -> list[str]:
    """Three segments with predictions of two endpoints and an outcome; the ids of the predictions."""
    other = msgspec.structs.replace(CONTEXT, id="o" * 16, endpoint="amount")
    ids = []
    for place in range(3):
        log = PredictionLog(directory)
        batches = [(context, batch(float(place), 5, context)) for context in (CONTEXT, other)]
        log.append(batches, [outcome()])
        log.close()
        for _, one in batches:
            ids += [format_id(int.from_bytes(one.ids[start : start + 16], "big")) for start in range(0, 80, 16)]
    return ids


def stored(tables: DeltaTables) -> Counter:
    found: Counter = Counter()
    for table in tables.list():
        if table.startswith("predictions/"):
            files = list(tables.snapshot(table).files)
            found.update(ds.dataset(files, format="parquet").to_table(columns=["id"])["id"].to_pylist())
    return found


@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_killed_at_any_commit_each_record_is_stored_once(tmp_path, at, is_after):
    tables = DeltaTables(tmp_path / "tables")
    ids = logged(tmp_path / "log")
    with pytest.raises(Killed):
        compact(tmp_path / "log", Dying(tables, at, is_after=is_after))
    ids += logged(tmp_path / "log")  # serving goes on
    compact(tmp_path / "log", tables)
    assert stored(tables) == Counter(ids)
    assert tables.snapshot("outcomes/lapse").rows == 6
    assert sorted(path.name for path in (tmp_path / "log").iterdir()) == ["compact.lock", "log.id"]
    assert compact(tmp_path / "log", tables) == {}


@pytest.mark.parametrize("deletions", [0, 1, 2, 3])
def test_killed_while_segments_are_deleted_nothing_is_doubled(tmp_path, monkeypatch, deletions):
    tables = DeltaTables(tmp_path / "tables")
    ids = logged(tmp_path / "log")
    real, done = Path.unlink, []

    def unlink(path, *arguments, **options):
        if len(done) == deletions:
            raise Killed
        done.append(path)
        return real(path, *arguments, **options)

    monkeypatch.setattr(Path, "unlink", unlink)
    with pytest.raises(Killed):
        compact(tmp_path / "log", tables)
    monkeypatch.undo()
    ids += logged(tmp_path / "log")
    compact(tmp_path / "log", tables)
    assert stored(tables) == Counter(ids)


def test_logs_of_two_machines_feed_one_table(tmp_path):
    tables = DeltaTables(tmp_path / "tables")
    ids = logged(tmp_path / "a") + logged(tmp_path / "b")
    compact(tmp_path / "a", tables)
    compact(tmp_path / "b", tables)
    assert stored(tables) == Counter(ids)


def test_two_compactions_at_once_one_says_why(tmp_path):
    logged(tmp_path / "log")
    with module.locked(tmp_path / "log"), pytest.raises(ConflictError, match="another process"):
        compact(tmp_path / "log", DeltaTables(tmp_path / "tables"))


def test_many_rows_are_stored_in_order_and_in_few_batches(tmp_path):
    log = PredictionLog(tmp_path / "log")
    for place in range(300):
        log.append([(CONTEXT, batch(float(place), 100))])
    log.close()
    tables = DeltaTables(tmp_path / "tables")
    assert compact(tmp_path / "log", tables) == {"predictions/lapse": 30_000}
    files = list(tables.snapshot("predictions/lapse").files)
    column = ds.dataset(files, format="parquet").to_table(columns=["feature:x"])["feature:x"].to_pylist()
    assert column == [float(place) for place in range(300) for _ in range(100)]


def test_a_feature_that_changes_its_type_or_goes_leaves_the_table_readable(tmp_path):
    tables = DeltaTables(tmp_path / "tables")
    tag = endpoint_tag("lapse")
    changed = msgspec.structs.replace(CONTEXT, id="n" * 16, features=(("x", "string"), ("y", "float64")))
    gone = msgspec.structs.replace(CONTEXT, id="g" * 16, features=(), views=())
    first, second, third = batch(1.5, 1), batch(2.5, 1, changed), batch(3.5, 1, gone)
    second.features = [["red"], second.features[0]]
    third.features, third.boundaries, third.versions, third.missing, third.stale = [], [], [], [], []
    ids = make_ids(first.at, tag, 3)
    for context, one, id_ in zip((CONTEXT, changed, gone), (first, second, third), ids, strict=True):
        one.ids = id_.to_bytes(16, "big")
        log = PredictionLog(tmp_path / "log")
        log.append([(context, one)])
        log.close()
        compact(tmp_path / "log", tables)
    records = [find_prediction(tmp_path / "log", tables, format_id(id_)) for id_ in ids]
    assert records[0].features["x"] == 1.5
    assert records[1].features == {"x": "red", "y": 2.5}
    assert records[2].views == {} and records[2].output == (3.5,)
