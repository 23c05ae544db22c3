"""Small files made one: the same rows in the same order, whatever happens to the table meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from inseam.adapters.delta import commit, compact, tables
from inseam.adapters.delta.location import Location
from inseam.adapters.delta.tables import DeltaTables
from inseam.ir.relation import INGESTED_AT, SEQUENCE
from inseam.kernel.errors import ConflictError, DataError, NotFoundError
from inseam.ports.compacting import Compacted, Compacting
from inseam.ports.tables import CommitKey
from inseam.testing.contracts.tables import rows
from inseam.testing.s3 import options


def load(number: int, size: int = 2) -> pa.RecordBatchReader:
    """Rows that tie in all but their place, named as no file, digest or identifier can be."""
    stamps = pa.array([1_000 * number] * size).cast(pa.timestamp("us", "UTC"))
    columns = {"a": [f"row {number}-{place}" for place in range(size)], INGESTED_AT: stamps, SEQUENCE: [number] * size}
    return pa.table(columns).to_reader()


def grown(delta: DeltaTables, loads: int) -> DeltaTables:
    for number in range(loads):
        delta.append("t", load(number), key=CommitKey("load", number + 1))
    return delta


def files(root: Path) -> int:
    return len(list((root / "t").glob("*.parquet")))


def test_small_files_become_one_with_the_same_rows_in_their_order(tmp_path: Path) -> None:
    delta = grown(DeltaTables(tmp_path), 12)
    delta.append("t", pa.table({"a": ["late"], "more": [1.5]}).to_reader())
    before, snapshot = rows(delta, "t"), delta.snapshot("t")
    assert isinstance(delta, Compacting)
    told: list[int] = []
    assert delta.compact("t", fewest=14) is None
    assert delta.compact("t", fewest=13, seen=told.append) == Compacted(snapshot.version + 1, 13, 1)
    after = delta.snapshot("t")
    assert (told[-1], rows(delta, "t")) == (25, before)
    assert (after.rows, after.schema, len(after.files)) == (25, snapshot.schema, 1)
    assert (after.null_counts["a"], after.null_counts["more"], after.null_counts[SEQUENCE]) == (0, 24, 1)
    assert (delta.snapshot("t", snapshot.version), rows(delta, "t", snapshot.version)) == (snapshot, before)
    assert delta.committed("t", "load") == 12
    encodings = pq.ParquetFile(after.files[0]).metadata.row_group(0).column(2).encodings
    assert "DELTA_BINARY_PACKED" in encodings
    assert delta.compact("t", fewest=2) is None


def test_a_merged_file_stands_where_its_rows_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    delta = grown(DeltaTables(tmp_path), 3)
    delta.append("t", load(3, 3_000))
    for number in range(4, 7):
        delta.append("t", load(number))
    before = rows(delta, "t")
    monkeypatch.setattr(compact, "SMALL", (5_000, 1 << 20))
    assert delta.compact("t", fewest=3) == Compacted(7, 7, 3)
    assert rows(delta, "t") == before
    delta.append("t", load(7))
    assert delta.compact("t", fewest=4) == Compacted(9, 4, 1), "the next size, merged files with the large one"
    assert rows(delta, "t")[:-2] == before
    assert (delta.snapshot("t", since=7_999).rows, delta.snapshot("t", since=9_000).rows) == (len(before) + 2, 0)


def test_others_read_it_and_checkpoints_forget_what_was_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "COMMITS_PER_CHECKPOINT", 5)
    delta = grown(DeltaTables(tmp_path), 10)
    assert delta.compact("t", fewest=2) == Compacted(10, 10, 1)
    checkpoint = pq.read_table(tmp_path / "t" / "_delta_log" / f"{10:020d}.checkpoint.parquet")
    assert [checkpoint[kind].combine_chunks().is_valid().sum().as_py() for kind in ("add", "remove")] == [1, 0]
    table = DeltaTable(tmp_path / "t")
    assert table.to_pyarrow_table(filters=[("a", "=", "row 7-1")]).num_rows == 1
    assert table.history(1)[0]["operation"] == "OPTIMIZE"


def test_what_others_append_meanwhile_stays(tmp_path: Path) -> None:
    delta = grown(DeltaTables(tmp_path), 2)

    def append(worker: int) -> None:
        for number in range(6):
            DeltaTables(tmp_path).append("t", load(100 * worker + number))

    with ThreadPoolExecutor(3) as pool:
        done = [pool.submit(append, worker) for worker in (1, 2)]
        while not all(one.done() for one in done):
            delta.compact("t", fewest=2)
    found = [row["a"] for row in rows(delta, "t")]
    assert len(found) == len(set(found)) == 28
    assert found[:4] == ["row 0-0", "row 0-1", "row 1-0", "row 1-1"]


class KilledError(BaseException):
    """As if the process had been killed."""


def test_killed_anywhere_it_has_happened_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    delta = grown(DeltaTables(tmp_path), 4)
    before, number = rows(delta, "t"), 4

    def dying(step: Callable[..., Any], *, is_after: bool) -> Callable[..., Any]:
        def run(*given: Any) -> Any:
            if is_after:
                step(*given)
            raise KilledError

        return run

    for owner, name in ((compact.Compaction, "_commit"), (Location, "add_log_entry"), (tables, "checkpoint")):
        for is_after in (False, True):
            with monkeypatch.context() as patch:
                patch.setattr(owner, name, dying(getattr(owner, name), is_after=is_after))
                with pytest.raises(KilledError):
                    delta.compact("t", fewest=2)
            assert rows(delta, "t") == before
            delta.append("t", load(number))
            before, number = rows(delta, "t"), number + 1
    delta.compact("t", fewest=2)
    assert rows(delta, "t") == before


def test_an_answer_that_was_lost_is_found_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    delta = grown(DeltaTables(tmp_path), 3)
    before, add = rows(delta, "t"), Location.add_log_entry
    monkeypatch.setattr(Location, "add_log_entry", lambda *given: add(*given) and False)
    assert delta.compact("t", fewest=2) == Compacted(3, 3, 1)
    assert rows(delta, "t") == before


def test_files_that_are_gone_meanwhile_are_not_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    delta = grown(DeltaTables(tmp_path), 3)
    commit = compact.Compaction._commit

    def late(self: compact.Compaction, added: Any) -> int:
        delta.replace("t", load(9))
        return commit(self, added)

    monkeypatch.setattr(compact.Compaction, "_commit", late)
    with pytest.raises(ConflictError, match="replaced"):
        delta.compact("t", fewest=2)
    assert [row["a"] for row in rows(delta, "t")] == ["row 9-0", "row 9-1"]
    assert files(tmp_path) == 4, "what it wrote is taken back"
    with pytest.raises(NotFoundError):
        delta.compact("nowhere", fewest=2)


def test_a_lost_file_is_said_and_nothing_is_changed(tmp_path: Path) -> None:
    delta = grown(DeltaTables(tmp_path), 3)
    Path(delta.snapshot("t").files[1]).unlink()
    with pytest.raises(DataError, match="not merged"):
        delta.compact("t", fewest=2)
    assert (delta.snapshot("t").version, files(tmp_path)) == (2, 2)


def test_a_row_is_erased_from_merged_files_too_and_counted_once(tmp_path: Path) -> None:
    delta = grown(DeltaTables(tmp_path), 4)
    delta.compact("t", fewest=2)
    delta.append("t", load(4))
    assert delta.erase("t", {"a": ["row 1-0", "row 4-1"]}, is_dry_run=True) == 2
    assert delta.erase("t", {"a": ["row 1-0", "row 4-1"]}) == 2
    left = [f"row {number}-{place}" for number in range(5) for place in range(2)]
    left = [a for a in left if a not in ("row 1-0", "row 4-1")]
    assert [row["a"] for row in rows(delta, "t")] == left
    assert [row["a"] for row in rows(delta, "t", 2)] == ["row 0-0", "row 0-1", "row 1-1", "row 2-0", "row 2-1"]
    assert delta.compact("t", fewest=2) == Compacted(6, 2, 1), (
        "files from which rows were erased are merged like others"
    )
    assert [row["a"] for row in rows(delta, "t")] == left
    assert delta.erase("t", {"a": ["row 0-0"]}) == 1
    assert [row["a"] for row in rows(delta, "t")] == left[1:]
    assert not any(b"row 4-1" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_in_an_object_store_too(endpoint: str, home: str) -> None:
    delta = grown(DeltaTables(home, options(endpoint)), 3)
    before = rows(delta, "t")
    assert delta.compact("t", fewest=2) == Compacted(3, 3, 1)
    assert rows(delta, "t") == before
    assert not delta._location.add_log_entry("t", 3, "another's")
