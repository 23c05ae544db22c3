"""How a session is opened, and what is refused."""

import os
import signal
import threading
import time
from pathlib import Path

import pyarrow as pa
import pytest

from inseam.adapters.delta.tables import DeltaTables
from inseam.adapters.spark.engine import SparkEngine
from inseam.kernel.errors import SettingError
from inseam.kernel.types import Schema
from inseam.ports.rows import Batches

_ONE = pa.table({"n": [1]})


def test_a_process_works_on_one_spark(engine: SparkEngine, tables: DeltaTables, tmp_path: Path) -> None:
    assert engine.repeated(_ONE.to_reader(), ["n"]).reader().read_all().num_rows == 0
    other = SparkEngine(tables, directory=tmp_path, url="local[1]")
    with pytest.raises(SettingError, match=r"local\[2\]"):
        other.repeated(_ONE.to_reader(), ["n"])


def test_an_address_that_holds_a_token_is_refused(tables: DeltaTables, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="token"):
        SparkEngine(tables, directory=tmp_path, url="sc://host:443/;token=dapi123")


def test_opening_takes_no_spark(tables: DeltaTables, tmp_path: Path, orders: DeltaTables) -> None:
    from inseam.ir.relation import Relation

    never = SparkEngine(tables, directory=tmp_path, url="spark://nowhere.invalid:1")
    assert never.schema(Relation("sources/orders", "at", Schema(()))).names[0] == "customer"
    assert never.evaluate(_ONE.slice(1).to_reader(), {"twice": "2 * n"}).reader().read_all().num_rows == 0


def test_rows_that_are_staged_are_removed(engine: SparkEngine, tmp_path: Path) -> None:
    rows = engine.evaluate(pa.table({"n": [2, 1]}).to_reader(), {"n": "n"})
    assert len(list((tmp_path / "staging").glob("spark-*"))) == 1
    assert rows.reader().read_all()["n"].to_pylist() == [2, 1]
    del rows
    assert list((tmp_path / "staging").glob("spark-*")) == []


def endless(batches: Batches) -> Batches:
    for batch in batches:
        time.sleep(600)
        yield batch


def test_ctrl_c_ends_the_jobs_too(engine: SparkEngine) -> None:
    rows = engine.evaluate(pa.table({"n": [2, 1]}).to_reader(), {"n": "n"})
    assert rows.reader().read_all().num_rows == 2
    tracker = engine._session().sparkContext.statusTracker()

    def interrupt() -> None:
        while not tracker.getActiveJobsIds():
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        rows.map(endless, rows.schema).reader().read_all()
    until = time.monotonic() + 60
    while tracker.getActiveJobsIds() and time.monotonic() < until:
        time.sleep(0.1)
    assert tracker.getActiveJobsIds() == []
    assert rows.reader().read_all().num_rows == 2
