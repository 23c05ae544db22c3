"""What is Delta's own: conflicts of processes, checkpoints, statistics, interrupts, and that others can read it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, QueryBuilder
from deltalake.exceptions import CommitFailedError

from inseam.adapters.delta import commit, erase, files, location
from inseam.adapters.delta.tables import DeltaTables
from inseam.kernel.errors import ConflictError, DataError, DefinitionError
from inseam.ports.tables import CommitKey
from inseam.testing.contracts import tables as contract


def numbers(count: int, start: int = 0, batch: int = 1000) -> pa.RecordBatchReader:
    schema = pa.schema([("n", pa.int64()), ("text", pa.string())])

    def batches() -> Iterator[pa.RecordBatch]:
        for first in range(start, start + count, batch):
            values = np.arange(first, min(first + batch, start + count))
            yield pa.record_batch([pa.array(values), pa.array(values).cast(pa.string())], schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def data_files(root: Path) -> set[str]:
    return {str(path) for path in root.rglob("*.parquet")}


def test_a_long_stream_is_cut_into_files_that_keep_its_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "BYTES_PER_FILE", 100_000)
    monkeypatch.setattr(files, "ROWS_PER_GROUP", 4_000)
    delta = DeltaTables(tmp_path)
    delta.append("t", numbers(50_000, batch=9_999))
    snapshot = delta.snapshot("t")
    assert len(snapshot.files) > 3
    read = np.concatenate([pq.ParquetFile(file).read()["n"].to_numpy() for file in snapshot.files])
    assert (read == np.arange(50_000)).all()
    assert pq.ParquetFile(snapshot.files[0]).metadata.row_group(0).num_rows <= 4_000
    assert snapshot.bytes == sum(Path(file).stat().st_size for file in snapshot.files)


def test_other_readers_of_delta_see_the_same_rows(tmp_path: Path) -> None:
    delta = DeltaTables(tmp_path)
    for start in range(0, 500, 10):
        delta.append("t", numbers(10, start))
    delta.erase("t", {"n": list(range(490, 500))})
    assert list(tmp_path.rglob("*.checkpoint.parquet"))
    table = DeltaTable(tmp_path / "t")
    assert sorted(table.to_pyarrow_table()["n"].to_pylist()) == list(range(490))
    assert table.to_pyarrow_table(filters=[("n", ">", 480)]).num_rows == 9
    paths = list(delta.snapshot("t").files)
    assert duckdb.sql("select sum(n) from read_parquet($paths)", params={"paths": paths}).fetchone() == (119805,)
    assert delta.snapshot("t", 3).rows == 40


def test_statistics_let_readers_skip_files_and_never_wrongly(tmp_path: Path) -> None:
    delta = DeltaTables(tmp_path)
    moment = datetime(2024, 1, 1, 0, 0, 0, 999_999, tzinfo=UTC)
    delta.append(
        "t",
        pa.table({"t": [moment], "s": ["z" * 100 + "!"], "f": [float("inf")], "g": [float("nan")]}).to_reader(),
    )
    table = DeltaTable(tmp_path / "t")
    assert table.to_pyarrow_table(filters=[("t", ">=", moment)]).num_rows == 1
    assert table.to_pyarrow_table(filters=[("s", ">=", "z" * 100)]).num_rows == 1
    asked = QueryBuilder().register("t", table).execute("select * from t where f > 1e300")
    assert pa.table(asked.read_all()).num_rows == 1
    assert delta.snapshot("t").null_counts == {"t": 0, "s": 0, "f": 0, "g": 0}
    assert delta.erase("t", {"s": ["none"]}) == 0
    assert delta.snapshot("t").rows == 1


def test_an_interrupt_while_writing_takes_the_files_back(tmp_path: Path) -> None:
    delta = DeltaTables(tmp_path)
    delta.append("t", numbers(10))
    before = data_files(tmp_path)

    def interrupted() -> Iterator[pa.RecordBatch]:
        yield from numbers(1_000_000)
        raise KeyboardInterrupt

    schema = pa.schema([("n", pa.int64()), ("text", pa.string())])
    with pytest.raises(KeyboardInterrupt):
        delta.append("t", pa.RecordBatchReader.from_batches(schema, interrupted()))
    assert data_files(tmp_path) == before
    assert delta.snapshot("t").version == 0


def test_values_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    delta = DeltaTables(tmp_path)
    with pytest.raises(DataError, match="cannot be stored"):
        delta.append("t", pa.table({"n": pa.array([2**63], pa.uint64())}).to_reader())
    with pytest.raises(DataError, match="list"):
        delta.append("t", pa.table({"n": [[1]]}).to_reader())
    assert delta.list() == ()
    assert data_files(tmp_path) == set()


def test_tables_do_not_lie_in_tables(tmp_path: Path) -> None:
    delta = DeltaTables(tmp_path)
    delta.append("a", numbers(1))
    with pytest.raises(DefinitionError, match="'a' is a table"):
        delta.append("a/b", numbers(1))


def test_conflicts_that_never_end_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    delta = DeltaTables(tmp_path)
    delta.append("t", numbers(1))
    before = data_files(tmp_path)

    def conflict(*_: object, **__: object) -> None:
        raise CommitFailedError("somebody was faster")

    monkeypatch.setattr(DeltaTable, "create_write_transaction", conflict)
    monkeypatch.setattr(commit, "ATTEMPTS", 3)
    with pytest.raises(ConflictError, match="somebody was faster"):
        delta.append("t", numbers(1))
    assert data_files(tmp_path) == before


def test_the_log_is_never_cut(tmp_path: Path) -> None:
    DeltaTables(tmp_path).append("t", numbers(1))
    assert DeltaTable(tmp_path / "t").metadata().configuration["delta.enableExpiredLogCleanup"] == "false"


def test_processes_that_append_at_once(tmp_path: Path) -> None:
    script = textwrap.dedent("""
        import sys
        import pyarrow as pa
        from inseam.adapters.delta.tables import DeltaTables
        from inseam.ports.tables import CommitKey
        root, worker = sys.argv[1], int(sys.argv[2])
        delta = DeltaTables(root)
        for turn in range(8):
            rows = pa.table({"worker": [worker] * 3, f"extra_{worker}": [turn] * 3}).to_reader()
            delta.append("t", rows, key=CommitKey(f"worker-{worker}", turn))
            delta.append("t", pa.table({"worker": [-1]}).to_reader(), key=CommitKey("shared", turn))
    """)
    DeltaTables(tmp_path).append("t", pa.table({"worker": pa.array([], pa.int64())}).to_reader())
    command = [sys.executable, "-c", script, str(tmp_path)]
    processes = [subprocess.Popen([*command, str(worker)]) for worker in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    found = DeltaTable(tmp_path / "t").to_pyarrow_table()["worker"].to_pylist()
    assert [found.count(worker) for worker in range(3)] == [24, 24, 24]
    assert found.count(-1) == 8
    assert DeltaTables(tmp_path).committed("t", "shared") == 7


def everything(root: Path) -> bytes:
    return b"".join(path.read_bytes() for path in root.rglob("*") if path.is_file())


def test_nothing_of_an_erased_row_is_left_in_data_log_and_checkpoints(tmp_path: Path) -> None:
    delta = DeltaTables(tmp_path)
    for number in range(24):
        delta.append("t", pa.table({"k": ["a", "zebra-7"], "n": [number, number]}).to_reader())
    assert b"zebra-7" in everything(tmp_path)
    assert b"zebra-7" in next(tmp_path.rglob("*.checkpoint.parquet")).read_bytes()
    delta.erase("t", {"k": ["zebra-7"]})
    assert b"zebra" not in everything(tmp_path)
    newest, old = DeltaTable(tmp_path / "t"), DeltaTable(tmp_path / "t", version=3)
    assert newest.version() == 23
    assert QueryBuilder().register("t", newest).execute("select sum(n) from t").read_all()[0][0].as_py() == 276
    assert old.to_pyarrow_table().to_pylist() == [{"k": "a", "n": number} for number in (3, 2, 1, 0)]


class KilledError(BaseException):
    """As if the process had been killed."""


def test_an_erasure_that_is_killed_anywhere_leaves_no_wrong_row_and_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    delta = DeltaTables(tmp_path)
    delta.append("t", pa.table({"k": ["gone", "b"], "n": [0, 0]}).to_reader())
    delta.replace("t", pa.table({"k": ["gone", "b"], "n": [1, 1]}).to_reader())
    for number in range(2, 22):
        delta.append("t", pa.table({"k": ["gone", "b"], "n": [number, number]}).to_reader())
    steps = {
        location.Location: ["rewrite_log_entry"],
        erase.Erasure: ["_rewritten", "_take_out"],
        DeltaTable: ["create_checkpoint"],
    }
    left = [0]

    def dying(step: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise KilledError
            return step(*given)

        return run

    for owner, names in steps.items():
        for name in names:
            monkeypatch.setattr(owner, name, dying(getattr(owner, name)))
    kills = 0
    while True:
        left[0] = kills
        try:
            delta.erase("t", {"k": ["gone"]})
            break
        except KilledError:
            kills += 1
        left[0] = 1000
        kept = [row["n"] for row in contract.rows(delta, "t") if row["k"] == "b"]
        assert kept == list(range(1, 22))
        assert [row["n"] for row in contract.rows(delta, "t", 0) if row["k"] == "b"] == [0]
    assert kills > 20
    assert b"gone" not in everything(tmp_path)
    assert len(data_files(tmp_path)) == 22 + 1


def test_a_file_that_a_killed_writer_left_is_erased_when_it_is_a_day_old(tmp_path: Path) -> None:
    delta = DeltaTables(tmp_path)
    delta.append("t", pa.table({"k": ["a"]}).to_reader())
    orphan = tmp_path / "t" / "part-0-orphan.parquet"
    pq.write_table(pa.table({"k": ["gone"]}), orphan)
    assert delta.erase("t", {"k": ["gone"]}) == 0
    assert orphan.exists()
    os.utime(orphan, (time.time() - 90_000, time.time() - 90_000))
    delta.erase("t", {"k": ["gone"]})
    assert not orphan.exists()


def test_a_key_is_held_across_replace(tmp_path: Path) -> None:
    delta = DeltaTables(tmp_path)
    delta.append("t", numbers(1), key=CommitKey("load", 3))
    delta.replace("t", numbers(5))
    assert delta.committed("t", "load") == 3


def test_what_a_commit_names_outlives_a_loss_of_power(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync, entries = os.fsync, tmp_path / "t" / "_delta_log"
    durable: dict[int, int] = {}
    """By inode of what was synced: how many commits there were."""

    def remember(descriptor: int) -> None:
        sync(descriptor)
        durable.setdefault(os.fstat(descriptor).st_ino, len(list(entries.glob("*.json"))))

    monkeypatch.setattr(os, "fsync", remember)
    delta = DeltaTables(tmp_path)
    for start in range(21):
        delta.append("t", numbers(10, start))
        durable.pop(entries.stat().st_ino)  # a name is durable with its directory
    loaded = delta.snapshot("t").files
    delta.compact("t", fewest=2)
    (merged,) = delta.snapshot("t").files

    assert [durable[Path(file).stat().st_ino] for file in loaded] == [*range(21)]
    assert durable[Path(merged).stat().st_ino] == 21
    assert {path.stat().st_ino for path in entries.iterdir()} <= durable.keys()
    assert {tmp_path.stat().st_ino, (tmp_path / "t").stat().st_ino, entries.stat().st_ino} <= durable.keys()
