"""Delta on S3: many writers at once, weather on the way, credentials and buckets that are not there; read by DuckDB."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from inseam.adapters.delta.location import Location
from inseam.adapters.delta.tables import DeltaTables
from inseam.adapters.duckdb.engine import DuckdbEngine
from inseam.ir.relation import Relation
from inseam.kernel.errors import DataError, NotFoundError, SettingError, UnavailableError
from inseam.kernel.types import Schema
from inseam.ports import object_store
from inseam.ports.tables import CommitKey
from inseam.testing import azure
from inseam.testing.contracts.tables import rows
from inseam.testing.proxy import Proxy
from inseam.testing.s3 import BUCKET, CREDENTIALS, as_google, options, s3_server

WRITERS, TURNS = 8, 2


def numbers(*values: int) -> pa.RecordBatchReader:
    return pa.table({"a": list(values)}).to_reader()


@pytest.fixture
def proxy(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Proxy:
    """Between the tables and the server, to which an impatient client speaks."""
    monkeypatch.setattr(object_store, "_REQUEST_SECONDS", 2)
    monkeypatch.setattr(object_store, "_RETRIES", 2)
    port = urlsplit(endpoint).port
    assert port is not None
    with Proxy(port) as proxy:
        yield proxy


def through(proxy: Proxy, home: str) -> DeltaTables:
    return DeltaTables(home, options(f"http://127.0.0.1:{proxy.port}"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_processes_that_append_at_once_lose_nothing_and_write_nothing_twice(endpoint: str, home: str) -> None:
    script = textwrap.dedent("""
        import sys
        import pyarrow as pa
        from inseam.adapters.delta.tables import DeltaTables
        from inseam.ports.tables import CommitKey
        from inseam.testing.s3 import options
        home, endpoint, worker, turns = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
        delta = DeltaTables(home, options(endpoint))
        for turn in range(turns):
            rows = pa.table({"worker": [worker] * 3}).to_reader()
            delta.append("t", rows, key=CommitKey(f"worker-{worker}", turn))
            delta.append("t", pa.table({"worker": [-1]}).to_reader(), key=CommitKey("shared", turn))
    """)
    command = [sys.executable, "-c", script, home, endpoint]
    processes = [subprocess.Popen([*command, str(worker), str(TURNS)], env=os.environ) for worker in range(WRITERS)]
    assert [process.wait() for process in processes] == [0] * WRITERS
    tables = DeltaTables(home, options(endpoint))
    found = [row["worker"] for row in rows(tables, "t")]
    assert [found.count(worker) for worker in range(WRITERS)] == [3 * TURNS] * WRITERS
    assert found.count(-1) == TURNS
    assert tables.committed("t", "shared") == TURNS - 1


def test_duckdb_reads_a_snapshot_from_there_as_from_disk(endpoint: str, home: str, tmp_path: Path) -> None:
    columns = {"at": pa.array(range(5_000), pa.timestamp("us", "UTC")), "n": pa.array(range(5_000)), "s": ["x"] * 5_000}
    found = []
    for tables in (DeltaTables(tmp_path / "tables"), DeltaTables(home, options(endpoint))):
        for start in (0, 2_000):
            tables.append("sources/t", pa.table(columns).slice(start, 2_000).to_reader())
        tables.append("sources/t", pa.table(columns | {"new": [1.5] * 5_000}).slice(4_000).to_reader())
        engine = DuckdbEngine(tables, directory=tmp_path / "spill")
        relation = Relation("sources/t", "at", Schema(()), None)
        found.append(engine.scan(relation, columns=["n", "new"], where="n % 7 = 0 AND s = 'x'").reader().read_all())
    assert found[0].num_rows == 715
    assert found[0].sort_by("n").equals(found[1].sort_by("n"))


def check_tables(home: str, directory: Path) -> None:
    """What is written there is committed once, read by ranges, erased and dropped."""
    tables = DeltaTables(home)
    for load in (1, 1, 2):
        tables.append("sources/t", numbers(load, 7), key=CommitKey("load", load))
    assert sorted(row["a"] for row in rows(tables, "sources/t")) == [1, 2, 7, 7]
    assert tables.erase("sources/t", {"a": pa.array([7])}) == 2
    at = pa.table({"at": pa.array([1], pa.timestamp("us", "UTC"))})
    tables.append("u", at.to_reader())
    engine = DuckdbEngine(tables, directory=directory)
    assert engine.scan(Relation("u", "at", Schema(()), None), columns=["at"]).reader().read_all() == at
    tables.drop("u")
    assert list(tables.list()) == ["sources/t"]


@pytest.mark.skipif(not azure.is_installed(), reason=azure.WHY_NOT)
def test_tables_lie_in_azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with azure.azure_server() as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        check_tables(f"az://{azure.CONTAINER}/shop", tmp_path)


def test_tables_lie_at_google(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in as_google(endpoint).items():
        monkeypatch.setenv(name, value)
    check_tables(f"gs://{BUCKET}/google", tmp_path)


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_lost_data_file_is_said_by_the_engine(endpoint: str, home: str, tmp_path: Path) -> None:
    tables = DeltaTables(home, options(endpoint))
    tables.append("t", pa.table({"at": pa.array([1], pa.timestamp("us", "UTC"))}).to_reader())
    tables.files.rm_file(tables.snapshot("t").files[0])
    with pytest.raises(DataError, match="t"):
        DuckdbEngine(tables, directory=tmp_path).scan(Relation("t", "at", Schema(()), None)).reader().read_all()


def test_a_commit_that_the_store_lost_is_said(endpoint: str, home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = DeltaTables(home, options(endpoint))
    tables.append("t", numbers(1))
    commit = DeltaTable.create_write_transaction

    def overtaken(self: DeltaTable, *given: object, **named: object) -> None:
        """Another appends between our look at the table and our commit."""
        monkeypatch.setattr(DeltaTable, "create_write_transaction", commit)
        DeltaTables(home, options(endpoint)).append("t", numbers(7))
        commit(self, *given, **named)

    monkeypatch.setattr(DeltaTable, "create_write_transaction", overtaken)
    monkeypatch.setattr(Location, "log_entry", lambda *_: "another's")
    with pytest.raises(DataError, match="take the place"):
        tables.append("t", numbers(2))


def test_an_answer_that_breaks_off_is_asked_for_again(proxy: Proxy, home: str) -> None:
    tables = through(proxy, home)
    tables.append("t", numbers(1, 2))
    proxy.cut_after = 40
    with pytest.raises(UnavailableError, match="does not answer"):
        tables.append("t", numbers(3), key=CommitKey("load", 1))
    proxy.cut_after = None
    tables.append("t", numbers(3), key=CommitKey("load", 1))
    assert [row["a"] for row in rows(tables, "t")] == [1, 2, 3]


def test_a_store_that_says_nothing_is_not_waited_for_without_end(proxy: Proxy, home: str) -> None:
    tables = through(proxy, home)
    tables.append("t", numbers(1))
    proxy.is_stalled = True
    with pytest.raises(UnavailableError, match="does not answer"):
        tables.snapshot("t")
    proxy.is_stalled = False
    tables.append("t", numbers(2))
    assert [row["a"] for row in rows(tables, "t")] == [1, 2]


def test_a_store_that_is_away_is_said(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_store, "_RETRIES", 1)
    tables = DeltaTables(home, options("http://127.0.0.1:1"))
    for action in (lambda: tables.snapshot("t"), tables.list, lambda: tables.append("t", numbers(1))):
        with pytest.raises(UnavailableError, match="does not answer"):
            action()


def test_a_bucket_that_is_not_there_is_said(endpoint: str, home: str) -> None:
    tables = DeltaTables("s3://elsewhere/x", options(endpoint))
    for action in (lambda: tables.snapshot("t"), tables.list, lambda: tables.append("t", numbers(1))):
        with pytest.raises(NotFoundError, match="no such bucket"):
            action()


def test_wrong_credentials_are_said_and_not_shown(home: str) -> None:
    with s3_server(takes_anybody=False) as endpoint:
        tables = DeltaTables(home, options(endpoint))
        for action in (lambda: tables.snapshot("t"), tables.list, lambda: tables.append("t", numbers(1))):
            with pytest.raises(SettingError, match="refuses the credentials") as failed:
                action()
            assert "AWS_ACCESS_KEY_ID" in str(failed.value)
            assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in str(failed.value)


def test_what_is_no_place_is_refused() -> None:
    for url in ("s3://", f"s3://{BUCKET}/a b", f"s3://{BUCKET}/*", f"s3://{BUCKET}//x"):
        with pytest.raises(SettingError, match="no place"):
            DeltaTables(url)
