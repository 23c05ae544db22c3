"""The server as processes: promotion, graceful end, metrics over workers, and kill -9."""

import random
import re
import signal
import time
from collections import Counter

import numpy as np
import pyarrow.dataset as ds
import pytest
from real_server import PREDICT, Load, Server, prepare, promote, running

from inseam.adapters.delta.tables import DeltaTables
from inseam.ports.bundle import digest, open_bundle
from inseam.stages.serve.compact import compact
from inseam.stages.serve.find import find_prediction


@pytest.fixture
def directory(tmp_path):
    prepare(tmp_path)
    return tmp_path


def test_predictions_have_the_bits_of_the_bundle_and_are_found_by_id(directory):
    bundle = directory / "models" / "lapse-1"
    opened = open_bundle(bundle, digest(bundle))
    rows = [{"customer_id": f"c{place}", "basket_value": place / 7} for place in range(40)]
    rows.append({"customer_id": "nobody", "basket_value": None})
    with running(directory) as server:
        server.await_ready()
        together = server.post(PREDICT, {"rows": rows})[1]["predictions"]
        alone = [server.post(PREDICT, row)[1]["predictions"][0] for row in rows]
        assert server.stop() == 0
    assert [one["probability"] for one in together] == [one["probability"] for one in alone]
    assert together[-1]["missing"] == ["spend"]
    for one, row in zip(together, rows, strict=True):
        record = find_prediction(directory / "log", DeltaTables(directory / "tables"), one["id"])
        columns = {
            name: np.array([np.nan if v is None else v]) for name, v in (record.features | record.inputs).items()
        }
        columns["event_time"] = np.array([record.at]).view("datetime64[us]")
        assert opened.predict(columns).tolist() == [one["probability"]] == list(record.output)
        assert record.keys == {"customer_id": row["customer_id"]} and record.model_digest == opened.digest
    assert record.features == {"orders_30d": 0.0, "spend_30d": None}
    assert record.views["spend"].is_missing


def test_a_promotion_is_picked_up_under_load_without_dropping_a_request_and_a_broken_one_is_not(directory):
    with running(directory) as server:
        server.await_ready()
        with Load(server) as load:
            _until(lambda: len(load.answered) > 50)
            promote(directory, 2)
            _until(lambda: load.answered[-1][1].get("model_version") == 2)
            promote(directory, 3, is_broken=True)
            _until(lambda: b"digest" in server.get("/ready")[1])
            before = len(load.answered)
            _until(lambda: len(load.answered) > before + 50)
        ready, metrics = server.get("/ready"), server.get("/metrics")[1].decode()
    assert {status for status, _ in load.answered} == {200} and load.broken == 0
    assert {reply["model_version"] for _, reply in load.answered} == {1, 2}
    assert ready[0] == 200 and b'"model_version":2' in ready[1]
    assert re.search(r'inseam_promotion_broken\{endpoint="lapse"\} 1.0', metrics)


def test_interrupt_finishes_cleanly_and_seals_the_log(directory):
    with running(directory, workers=2) as server:
        server.await_ready()
        with Load(server) as load:
            _until(lambda: len(load.answered) > 100)
        assert server.stop(signal.SIGINT) == 0
    assert "Traceback" not in server.errors.read_text()
    assert not list((directory / "log").glob("*.open"))
    assert all(status == 200 for status, _ in load.answered)
    assert compact(directory / "log", DeltaTables(directory / "tables")) == {"predictions/lapse": len(load.answered)}


def test_metrics_are_summed_over_workers(directory):
    with running(directory, workers=2) as server:
        server.await_ready()
        for place in range(60):
            assert server.post(PREDICT, {"customer_id": f"c{place}", "basket_value": 1.0})[0] == 200
        texts = {server.get("/metrics")[1].decode() for _ in range(4)}
    counts = {re.search(r'inseam_rows_total\{endpoint="lapse"\} ([0-9.]+)', text)[1] for text in texts}
    assert counts == {"60.0"}


def test_a_worker_that_cannot_start_ends_the_server_with_a_reason(directory):
    with running(directory, options=("--fail",)) as server:
        assert server.process.wait(60) == 6
    text = server.errors.read_text()
    assert "no application in" in text and "a worker could not start" in text


def test_a_port_that_is_taken_is_said_plainly(directory):
    with running(directory) as server:
        server.await_ready()
        second = Server.__new__(Server)
        second.port = server.port
        import subprocess
        import sys

        import real_server

        found = subprocess.run(
            [sys.executable, real_server.__file__, str(directory), str(server.port), "1"],
            capture_output=True,
            text=True,
        )
    assert found.returncode == 7 and "cannot be bound" in found.stderr and "Traceback" not in found.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_acknowledged_prediction_is_lost_or_doubled_by_kill_9(directory):
    """Ten times: the worker, or the whole group, is killed at a random instant under load."""
    draw = random.Random(11)
    tables = DeltaTables(directory / "tables")
    acknowledged: list[str] = []
    server = Server(directory)
    try:
        for round_ in range(10):
            server.await_ready()
            with Load(server) as load:
                _until(lambda load=load: bool(load.answered))
                time.sleep(draw.uniform(0.0, 0.4))
                if round_ % 5 == 4:
                    server.stop(signal.SIGKILL)
                else:
                    for pid in server.workers():
                        _kill(pid)
            acknowledged += [
                one["id"] for status, reply in load.answered if status == 200 for one in reply["predictions"]
            ]
            if round_ % 5 == 4:
                server = Server(directory)
            if round_ % 3 == 1:
                compact(directory / "log", tables)
    finally:
        server.stop(signal.SIGKILL)
    sample = draw.sample(acknowledged, 20)
    assert all(find_prediction(directory / "log", tables, one) is not None for one in sample)
    compact(directory / "log", tables)
    assert not list((directory / "log").glob("*.open")) and not list((directory / "log").glob("*.seg"))
    files = list(tables.snapshot("predictions/lapse").files)
    counts = Counter(ds.dataset(files, format="parquet").to_table(columns=["id"])["id"].to_pylist())
    assert len(acknowledged) > 100
    assert {counts[one] for one in acknowledged} == {1}
    assert max(counts.values()) == 1
    assert all(find_prediction(directory / "log", tables, one) is not None for one in sample)


def _kill(pid: int) -> None:
    import os

    os.kill(pid, signal.SIGKILL)


def _until(is_so, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)
