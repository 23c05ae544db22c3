"""What goes wrong around a running server: disks, directories, crashes, neighbours, floods of odd requests."""

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest
from real_server import PREDICT, Load, prepare, promote, running

from inseam.adapters.delta.tables import DeltaTables
from inseam.kernel.errors import ConflictError
from inseam.stages.serve import segment
from inseam.stages.serve.compact import compact
from inseam.stages.serve.find import find_prediction

ROW = {"customer_id": "c1", "basket_value": 1.0}


@pytest.fixture
def directory(tmp_path):
    prepare(tmp_path)
    return tmp_path


def ids(load) -> list[str]:
    return [one["id"] for status, reply in load.answered if status == 200 for one in reply["predictions"]]


def logged(path) -> set[str]:
    from inseam.stages.serve.ids import format_id

    found = set()
    for place in path.glob("*"):
        if place.suffix in (segment.OPEN, segment.SEALED):
            for entries in segment.read(place):
                for entry in entries:
                    raw = getattr(entry, "ids", b"")
                    found |= {format_id(int.from_bytes(raw[i : i + 16], "big")) for i in range(0, len(raw), 16)}
    return found


@pytest.mark.parametrize("durability", ["process", "disk"])
def test_kill_9_under_sixteen_connections_loses_no_answer(directory, durability):
    with running(directory, durability=durability) as server:
        server.await_ready()
        with Load(server, clients=16) as load:
            _until(lambda: len(load.answered) > 300)
            server.stop(signal.SIGKILL)
    assert len(ids(load)) > 300
    assert set(ids(load)) <= logged(directory / "log")


def test_a_full_disk_is_said_and_not_acknowledged_and_its_end_is_noticed(directory):
    """A limit on the size of files stands for the disk: the kernel cuts a write short and refuses the next."""
    with running(directory, segment_bytes=1 << 30) as server:
        server.await_ready()
        [worker] = server.workers()
        assert server.post(PREDICT, ROW)[0] == 200
        _limit(worker, 6000)
        statuses, answered = [], []
        for _ in range(60):
            status, reply = server.post(PREDICT, ROW)
            statuses.append(status)
            answered += [one["id"] for one in reply.get("predictions", ())]
        assert set(statuses) == {200, 503}
        _limit(worker, 4)
        assert server.post(PREDICT, ROW)[0] == 503
        ready = server.get("/ready")
        assert ready[0] == 503 and b"cannot be written" in ready[1]
        _limit(worker, -1)
        # Nobody asks for a prediction: the server finds out by itself.
        _until(lambda: server.get("/ready")[0] == 200)
        assert server.post(PREDICT, ROW)[0] == 200
        assert _descriptors(worker) < 100
        assert server.stop() == 0
    assert set(answered) <= logged(directory / "log")
    assert not list((directory / "log").glob("*.new"))


def test_a_log_directory_that_cannot_be_is_told_at_the_start(directory):
    (directory / "log").write_text("a file")
    with running(directory) as server:
        assert server.process.wait(60) == 6
    text = server.errors.read_text()
    assert "the prediction log cannot be kept here" in text and "Traceback" not in text


def test_a_missing_online_store_reads_as_nothing_materialized_until_it_is_there(directory):
    away = (directory / "online").rename(directory / "away")
    with running(directory) as server:
        server.await_ready()
        status, reply = server.post(PREDICT, ROW)
        assert status == 200 and reply["predictions"][0]["missing"] == ["spend"]
        assert b'inseam_rows_missing_total{endpoint="lapse",view="spend"} 1.0' in server.get("/metrics")[1]
        away.rename(directory / "online")
        _until(lambda: server.post(PREDICT, ROW)[1]["predictions"][0]["missing"] == [])


def test_two_servers_share_a_log_and_one_compacts_at_a_time(directory):
    tables = DeltaTables(directory / "tables")
    with running(directory) as first, running(directory) as second:
        first.await_ready()
        second.await_ready()
        with Load(first) as one, Load(second) as other:
            _until(lambda: min(len(one.answered), len(other.answered)) > 100)
            with _compacting(directory / "log"), pytest.raises(ConflictError):
                compact(directory / "log", tables)
            moved = compact(directory / "log", tables)
            _until(lambda: min(len(one.answered), len(other.answered)) > 200)
        assert first.stop() == second.stop() == 0
    rest = compact(directory / "log", tables)
    answered = {*ids(one), *ids(other)}
    assert moved.get("predictions/lapse", 0) + rest["predictions/lapse"] == len(answered)
    assert {status for load in (one, other) for status, _ in load.answered} == {200}


def test_a_torn_tail_after_a_crash_costs_no_acknowledged_prediction(directory):
    with running(directory) as server:
        server.await_ready()
        with Load(server) as load:
            _until(lambda: len(load.answered) > 50)
            server.stop(signal.SIGKILL)
    [torn] = list((directory / "log").glob("*.open"))
    with torn.open("ab") as file:
        file.write(b"\x40\x00\x00\x00\x01\x02\x03\x04half a frame")
    tables = DeltaTables(directory / "tables")
    with running(directory) as server:
        server.await_ready()
        assert server.post(PREDICT, ROW)[0] == 200
        compact(directory / "log", tables)
        assert server.stop() == 0
    assert all(find_prediction(directory / "log", tables, one) for one in ids(load)[-20:])


def test_the_end_of_a_server_lets_what_is_in_flight_finish(directory):
    with running(directory, workers=2) as server:
        server.await_ready()
        with Load(server, clients=8) as load:
            _until(lambda: len(load.answered) > 100)
            server.process.terminate()
            assert server.process.wait(40) == 0
    assert {status for status, _ in load.answered} == {200}
    assert set(ids(load)) <= logged(directory / "log")
    assert not list((directory / "log").glob("*.open"))


def test_a_model_that_goes_missing_at_pick_up_leaves_the_old_one(directory):
    import shutil

    with running(directory) as server:
        server.await_ready()
        bundle = promote(directory, 2, is_broken=True)
        _until(lambda: b"digest" in server.get("/ready")[1])
        shutil.rmtree(bundle)
        _until(lambda: b"no model bundle" in server.get("/ready")[1])
        ready, (status, reply) = server.get("/ready"), server.post(PREDICT, ROW)
    assert ready[0] == 200 and status == 200 and reply["model_version"] == 1


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    directory = tmp_path_factory.mktemp("serve")
    prepare(directory)
    with running(directory) as server:
        server.await_ready()
        yield server


def ask(server, body: bytes, path: str = PREDICT):
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("POST", path, body, {"content-type": "application/json"})
    reply = connection.getresponse()
    text = reply.read()
    connection.close()
    return reply.status, json.loads(text)


def row(value: str) -> bytes:
    return f'{{"customer_id": "c1", "basket_value": {value}}}'.encode()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (row("NaN"), 422),
        (row("Infinity"), 422),
        (row("-Infinity"), 422),
        (row("1e999"), 422),
        (row("1e300"), 200),
        (row("-1e-320"), 200),
        (row("9" * 400), 422),
        (row("9" * 30), 200),
        (row("null"), 200),
        (row("true"), 422),
        (row('"1"'), 422),
        (row("[1]"), 422),
        (row("{}"), 422),
        (row("01"), 422),
        (row("1, "), 422),
        (b'{"customer_id": "c1", "customer_id": "c2", "basket_value": 1}', 200),
        (b'{"customer_id": "\\ud800", "basket_value": 1}', 422),
        (b'{"customer_id": "\\u0000", "basket_value": 1}', 200),
        (b'{"customer_id": "", "basket_value": 1}', 200),
        (b'{"customer_id": "' + b"k" * 100_000 + b'", "basket_value": 1}', 200),
        (b'{"customer_id": "c\xff", "basket_value": 1}', 422),
        ('{"customer_id": "c1", "basket_value": 1}'.encode("utf-16"), 422),
        (b'\xef\xbb\xbf{"customer_id": "c1", "basket_value": 1}', 422),
        (b"[" * 100_000, 422),
        (b'{"a":' * 100_000, 422),
        (b'{"rows": [' + b'{"a":' * 50_000, 422),
        (b"", 422),
        (b"null", 422),
        (b"{}", 422),
        (b'{"rows": null}', 422),
        (b'{"rows": [null]}', 422),
        (b'{"rows": {}}', 422),
        (b'{"rows": [], "rows": []}', 422),
        (b'{"basket_value": 1, "rows": []}', 422),
        (b'{"customer_id": "c1", "basket_value": 1} {}', 422),
        (b'{"customer_id": "c1", "basket_value": 1, "features": {}}', 422),
        (b'{"customer_id": "c1", "basket_value": 1, "features": null}', 422),
        (b'{"rows": [' + b",".join([row("1")] * 101) + b"]}", 422),
        (b'{"rows": [' + b",".join([row("1")] * 30_000) + b"]}", 413),
    ],
    ids=lambda value: str(value)[:40],
)
def test_odd_bodies_are_answered_by_what_they_are(shared, body, status):
    found, reply = ask(shared, body)
    assert found == status, reply
    if status != 200:
        assert all(problem["subject"] and problem["found"] for problem in reply["problems"])
    assert shared.post(PREDICT, ROW)[0] == 200


@pytest.mark.parametrize(
    "prediction",
    ["..", "../../etc/passwd", "%2e%2e%2f", "a/b", "", "%00", "x" * 3000, "0" * 32, "{id}", "%F0%9F%98%80"],
)
def test_ids_of_no_prediction_are_refused(shared, prediction):
    status, _ = ask(shared, b'{"outcome": 1}', f"/predictions/{prediction}/outcome")
    assert status in (404, 422)


@pytest.mark.parametrize("outcome", ["NaN", "1e999", "9" * 400, "null", "[]", '"\\ud800"', "{}"])
def test_odd_outcomes_are_refused(shared, outcome):
    prediction = shared.post(PREDICT, ROW)[1]["predictions"][0]["id"]
    assert ask(shared, f'{{"outcome": {outcome}}}'.encode(), f"/predictions/{prediction}/outcome")[0] == 422


@pytest.mark.parametrize("observed", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-01-01T00:00:60Z"])
def test_outcomes_of_odd_times_are_kept_or_refused(shared, observed):
    prediction = shared.post(PREDICT, ROW)[1]["predictions"][0]["id"]
    body = {"outcome": 1, "observed_at": observed}
    assert shared.post(f"/predictions/{prediction}/outcome", body)[0] in (200, 422)


def test_metrics_do_not_grow_with_what_is_asked(shared):
    def series():
        return len(re.findall(r"^inseam_", shared.get("/metrics")[1].decode(), re.MULTILINE))

    for place in range(3):
        shared.get(f"/random/{place}")
        ask(shared, b"{}", f"/endpoints/none-{place}/predict")
    before = series()
    for place in range(60):
        shared.get(f"/random/{os.urandom(8).hex()}")
        ask(shared, b"{}", f"/endpoints/{os.urandom(8).hex()}/predict")
        ask(shared, b"{}", f"/predictions/{place}/outcome")
    assert series() <= before + 2


def test_nothing_of_all_this_was_a_failure_inside(shared):
    assert "Traceback" not in shared.errors.read_text() and '"event":"failure"' not in shared.errors.read_text()


def _limit(worker: int, size: int) -> None:
    import resource

    resource.prlimit(worker, resource.RLIMIT_FSIZE, (size, -1))


def _descriptors(worker: int) -> int:
    return len(list(Path(f"/proc/{worker}/fd").iterdir()))


class _compacting:  # noqa: N801 - a context manager
    """Another process that compacts ``directory``."""

    def __init__(self, directory):
        self.directory = directory

    def __enter__(self):
        from inseam.stages.serve.compact import locked

        self._held = locked(self.directory)
        self._held.__enter__()

    def __exit__(self, *error):
        self._held.__exit__(*error)


def _until(is_so, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)
