"""The engine contract on Spark over Delta tables: in this process, on a standalone cluster, by Spark Connect;
and its values from every online store."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings

from inseam.adapters.delta.tables import DeltaTables
from inseam.adapters.duckdb.engine import DuckdbEngine
from inseam.adapters.sql.ledger import SqlLedger
from inseam.ir.checks import CheckKind, CheckSpec, Severity, SourceSpec
from inseam.ir.records import LoadedFileRecord
from inseam.kernel.types import Schema
from inseam.ports.engine import Engine
from inseam.ports.tables import Tables
from inseam.stages.ingest import portions
from inseam.stages.ingest.load import ingest
from inseam.testing.contracts.engine import EngineContract, JoinContract, Opener, drawn
from inseam.testing.contracts.online_values import OnlineValuesContract
from inseam.testing.contracts.wildcard import WildcardContract
from inseam.testing.dirty_files import COLUMNS, write_dirty_files
from inseam.testing.spark import BRIEF, connect_server, missing, standalone_cluster

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.slow,
    pytest.mark.timeout(900),
]

_SMALL = {"spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "4", "spark.executor.extraJavaOptions": BRIEF}
"""Few rows need few partitions."""


def opener(place: Path, **options: Any) -> Opener:
    from inseam.adapters.spark.engine import SparkEngine

    tables = DeltaTables(place / "tables")

    def open_(memory_limit: str) -> tuple[Engine, Tables]:
        return SparkEngine(tables, directory=place / "staging", memory_limit=memory_limit, **options), tables

    return open_


@pytest.fixture(scope="class")
def spark(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opener]:
    """One session a class: a process works on one Spark at a time."""
    from inseam.adapters.spark.session import close

    close()  # other tests of this process may have left one
    place = tmp_path_factory.mktemp("spark")
    with ExitStack() as running:
        if request.cls.kind == "local":
            options: dict[str, Any] = {"url": "local[2]", "conf": _SMALL}
        elif request.cls.kind == "cluster":
            here = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
            options = {"url": running.enter_context(standalone_cluster(place)), "conf": _SMALL | here}
        else:
            options = {"url": running.enter_context(connect_server(place))}
        # Before the servers: a session says goodbye to its own.
        running.callback(close)
        yield opener(place, threads=2, **options)


CHECKS = (
    CheckSpec("customer", CheckKind.NOT_NULL, Severity.WARN, columns=("customer",)),
    CheckSpec("positive", CheckKind.EXPRESSION, Severity.ERROR, expression="amount >= 0 AND len(currency) // 1 = 3"),
    CheckSpec("currency", CheckKind.ONE_OF, Severity.ERROR, columns=("currency",), arguments=("EUR", "CHF")),
    CheckSpec("once", CheckKind.UNIQUE, Severity.WARN, columns=("customer", "note")),
    CheckSpec("many", CheckKind.ROW_COUNT, Severity.WARN, arguments=(10_000, None)),
)
DECLARED = SourceSpec("declared", "at", schema=Schema.of(COLUMNS), checks=CHECKS, key=("id",))
INFERRED = SourceSpec("inferred", "at", checks=CHECKS[2:], key=("id",), on_duplicate="ignore")


class Loading:
    """Loads of one source by one engine, each told without the instants that differ from run to run."""

    def __init__(self, spec: SourceSpec, engine: Engine, tables: Tables, place: Path) -> None:
        place.mkdir()
        self._spec, self._engine, self._tables, self._place = spec, engine, tables, place
        self._ledger = SqlLedger(f"sqlite:///{place}/ledger.db")

    def run(self) -> dict[str, Any] | None:
        load = ingest(
            self._spec, tables=self._tables, ledger=self._ledger, engine=self._engine, directory=self._place / "loads"
        )
        if load is None:
            return None
        rows = self._rows(f"sources/{self._spec.name}").sort_by("_seq")
        assert set(rows["_ingested_at"].cast(pa.int64()).to_pylist()) >= {load.ingested_at}
        rejects = self._rows(f"quarantine/{self._spec.name}").drop_columns("quarantined_at")
        files = [(file.digest, file.path, file.rows) for file in self._ledger.select(LoadedFileRecord)]
        told = asdict(load) | {"ingested_at": None, "files": sorted(files)}
        told["rows"] = rows.drop_columns("_ingested_at").to_pylist()
        return told | {"rejects": sorted(rejects.to_pylist(), key=str)}

    def _rows(self, table: str) -> pa.Table:
        files = [pq.read_table(file) for file in self._tables.snapshot(table).files]
        return pa.concat_tables(files, promote_options="default")


def drawing(examples: int) -> Callable[[type[EngineContract]], type[EngineContract]]:
    """Its property-based tests draw fewer examples: each is some jobs of Spark, and DuckDB draws many of the same."""
    counts = {EngineContract: examples, OnlineValuesContract: 1}

    def decorated(suite: type[EngineContract]) -> type[EngineContract]:
        for contract, count in counts.items():
            for name, test in vars(contract).items():
                if hasattr(test, "hypothesis"):
                    again = given(**test.hypothesis._given_kwargs)(test.hypothesis.inner_test)
                    setattr(suite, name, settings(drawn, max_examples=count)(again))
        return suite

    return decorated


class _OnSpark(EngineContract, OnlineValuesContract):
    kind: str
    memory_limits = ("600MB",)

    @pytest.fixture
    def opener(self, spark: Opener) -> Opener:
        return spark


class _LoadingOnSpark(_OnSpark):
    source: SourceSpec

    def test_large_files_are_loaded_as_by_one_process(
        self, opener: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(portions, "PORTION_BYTES", 6_000)
        folder, here = tmp_path / "in", DeltaTables(tmp_path / "here")
        write_dirty_files(folder)
        spec = replace(self.source, location=str(folder))
        ours, theirs = (
            Loading(spec, engine, tables, tmp_path / name)
            for name, engine, tables in (
                ("spark", *opener(self.memory_limits[0])),
                ("duckdb", DuckdbEngine(here, directory=tmp_path / "spill"), here),
            )
        )
        load = ours.run()
        assert load is not None
        assert load == theirs.run()
        assert load["rows_in"] == load["rows_accepted"] + load["rows_quarantined"] + load["rows_ignored"]
        assert min(load["rows_accepted"], load["rows_quarantined"]) > 20
        shutil.copy(folder / "a.csv", folder / "known.csv")
        assert ours.run() is None
        text = (folder / "a.csv").read_bytes()
        (folder / "more.csv").write_bytes(text.replace(b"EUR", b"CHF"))
        (folder / "other.csv").write_bytes(text.replace(b"\r\n", b"\r\n9"))
        assert (load := ours.run()) is not None
        assert load == theirs.run()
        assert "load.one_process" not in load["findings"]


@drawing(2)
class TestConnect(_OnSpark):
    """The first one: the sessions after it are local again."""

    kind = "connect"


@drawing(8)
class TestLocal(_LoadingOnSpark, JoinContract, WildcardContract):
    kind = "local"
    source = DECLARED


@drawing(2)
class TestCluster(_LoadingOnSpark):
    kind = "cluster"
    source = INFERRED
