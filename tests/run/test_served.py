"""A served prediction: logged before it is answered, found after kill -9, replayed bit for bit."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from inseam.ir.records import ViewVersionRecord
from inseam.kernel.errors import NotFoundError, RefusedError
from inseam.run.serving import application
from inseam.run.workspace import open as open_workspace


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def post(port: int, path: str, body: Any) -> tuple[int, Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        data=json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@contextmanager
def serving(project: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = free_port()
    command = [sys.executable, "-m", "inseam.surface.cli.main", "serve", "--port", str(port)]
    process = subprocess.Popen(command, cwd=project, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.monotonic() + 90
        while not is_ready(port):
            assert process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server did not get ready"
            time.sleep(0.2)
        yield process, port
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.slow
def test_a_prediction_survives_kill_and_replays_to_the_bit(served_project: Path) -> None:
    with serving(served_project) as (process, port):
        status, one = post(port, "/endpoints/lapse/predict", {"customer_id": 7})
        assert status == 200, one
        status, many = post(port, "/endpoints/lapse/predict", {"rows": [{"customer_id": n} for n in range(1, 30)]})
        assert status == 200, many
        status, refused = post(port, "/endpoints/lapse/predict", {"customer": 7})
        assert status == 422
        assert "customer" in json.dumps(refused)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    ids = [prediction["id"] for prediction in (*one["predictions"], *many["predictions"])]
    assert len(set(ids)) == 30
    with open_workspace(served_project) as workspace:
        for prediction in ids[:5]:
            replay = workspace.replay(prediction)
            assert replay.is_equal, replay.differences
            assert replay.compared == 6
            assert replay.receipt.prediction.views["spend"].version == 0
        workspace.compact()
        assert workspace.replay(ids[-1]).is_equal, "from the table, after compaction"
        assert workspace.lineage(ids[0]).upstream[0].ref == "feature_view:spend"
        with pytest.raises(NotFoundError):
            workspace.replay("0199c0de-7a2b-7cc3-9d4e-6f8a1b2c3d4e")


@pytest.mark.slow
def test_a_replay_is_by_the_definition_that_was_served(served_project: Path) -> None:
    definition = served_project / "shop" / "definitions.py"
    text = definition.read_text()
    with serving(served_project) as (_, port):
        _, answer = post(port, "/endpoints/lapse/predict", {"customer_id": 9})
    prediction = answer["predictions"][0]["id"]
    try:
        definition.write_text(text.replace('"spend_90d": sum("amount", over="90d")', '"spend_90d": sum("amount")'))
        with open_workspace(served_project) as workspace:
            assert workspace.replay(prediction).is_equal
            ledger = workspace.context.ledger
            (version,) = ledger.select(ViewVersionRecord, view="spend")
            ledger.delete(version)
            replay = workspace.replay(prediction)
            ledger.put(version)
    finally:
        definition.write_text(text)

    (difference,) = replay.differences
    assert difference.what == "spend.spend_90d"
    assert difference.why == "the view's definition has changed since"


@pytest.mark.slow
def test_a_promotion_is_picked_up_live(tmp_path: Path, served_project: Path) -> None:
    root = tmp_path / "copied"
    shutil.copytree(served_project, root, ignore=shutil.ignore_patterns("predictions"))
    with serving(root) as (_, port), open_workspace(root) as workspace:
        _, before = post(port, "/endpoints/lapse/predict", {"customer_id": 7})
        trained = workspace.train("lapse", params={"n": 1}, can_promote=False)
        workspace.promote("lapse", trained.version.version, is_forced=True)
        deadline = time.monotonic() + 30
        while True:
            status, after = post(port, "/endpoints/lapse/predict", {"customer_id": 7})
            assert status == 200
            if after["model_version"] == trained.version.version:
                break
            assert time.monotonic() < deadline, "the promotion was not picked up"
            time.sleep(0.1)
        assert before["model_version"] == 1


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_changed_view_is_served_as_its_champion_knows_it_and_switched_with_the_champion(
    tmp_path: Path, served_project: Path
) -> None:
    root = tmp_path / "copied"
    shutil.copytree(served_project, root, ignore=shutil.ignore_patterns("predictions"))
    body = {"rows": [{"customer_id": number} for number in range(1, 30)]}

    def predict(client: TestClient) -> tuple[int, list[float]]:
        answer = client.post("/endpoints/lapse/predict", json=body)
        assert answer.status_code == 200, answer.text
        told = answer.json()
        return told["model_version"], [one["probability"] for one in told["predictions"]]

    with TestClient(application(root, "default")) as client:
        before = predict(client)
    definition = root / "shop" / "definitions.py"
    text = definition.read_text().replace('"spend_90d": sum("amount", over="90d")', '"spend_ever": sum("amount")')
    definition.write_text(text)
    with TestClient(application(root, "default")) as client, open_workspace(root) as workspace:
        assert predict(client) == before, "a server that is started with new definitions"
        trained = workspace.train("lapse", can_promote=False)
        workspace.promote("lapse", trained.version.version, is_forced=True)
        until(lambda: "not all online rows" in client.get("/ready").text)
        assert predict(client) == before
        workspace.apply()
        until(lambda: predict(client)[0] == trained.version.version)
        found = workspace.audit("lapse")[0]
        assert (found.outdated > 0, found.rows > 0, found.equal == found.rows) == (True, True, True)


def test_an_audit_holds_what_was_served_against_the_tables(tmp_path: Path, served_project: Path) -> None:
    root = tmp_path / "copied"
    shutil.copytree(served_project, root, ignore=shutil.ignore_patterns("predictions"))
    shutil.rmtree(root / ".inseam" / "tables" / "predictions", ignore_errors=True)

    def predict(*customers: int) -> str:
        with TestClient(application(root, "default")) as client:
            body = {"rows": [{"customer_id": number} for number in customers]}
            assert client.post("/endpoints/lapse/predict", json=body).status_code == 200
            return client.get("/metrics").text

    text = predict(*range(1, 101), 9_999)
    assert "inseam_audit_agreement{" not in text
    with open_workspace(root) as workspace:
        known = sum(not missing for missing in workspace.fetch(["spend"], _entities(101)).is_missing["spend"])
        (found,) = workspace.audit("lapse")
        assert (found.subject, found.endpoint) == ("feature_view:spend", "lapse")
        assert (found.population, found.rows, found.equal, found.missing) == (101, 101, 101, 101 - known)
        workspace.compact()
        text = predict(7)
        assert 'inseam_audit_agreement{endpoint="lapse",subject="feature_view:spend"} 1.0' in text
        (found,) = workspace.audit("spend")
        assert (found.population, found.rows, found.equal) == (102, 102, 102), "from both, each once"
        (few,) = workspace.audit("lapse", sample=10)
        assert (few.population, few.rows) == (102, 10)
        (table,) = workspace.context.online.tables()
        workspace.context.online.write(table, [((9).to_bytes(8, "big"), None)])
        predict(9)
        (found,) = workspace.audit("lapse")
        assert (dict(found.causes), found.differences[0].entity) == ({"code": 1}, {"customer_id": 9}), (
            "its row was lost"
        )
        (root / "data" / "orders" / "more.csv").write_text(
            "customer_id,ordered_at,amount,store\n7,2024-12-01T00:00:00Z,9,s\n"
        )
        workspace.ingest(is_history=True)
        (found,) = workspace.audit("lapse")
        assert dict(found.causes) == {"late rows": 2, "code": 1}
        assert {difference.entity["customer_id"] for difference in found.differences} == {7, 9}
    definition = root / "shop" / "definitions.py"
    definition.write_text(definition.read_text().replace('sum("amount", over="90d")', 'sum("amount")'))
    with open_workspace(root) as workspace:
        (found,) = workspace.audit("lapse")
        assert (found.rows, found.outdated) == (0, known + 1)


def _entities(count: int) -> list[dict[str, int]]:
    return [{"customer_id": number} for number in range(1, count)] + [{"customer_id": 9_999}]


def test_the_gate_no_skew_waits_for_an_audit(tmp_path: Path, served_project: Path) -> None:
    root = tmp_path / "copied"
    shutil.copytree(served_project, root)
    definition = root / "shop" / "definitions.py"
    text = definition.read_text().replace("import at_least,", "import at_least, no_skew,")
    definition.write_text(text.replace('at_least("roc_auc", 0.55)', "no_skew(rows=50)"))
    with open_workspace(root) as workspace:
        trained = workspace.train("lapse")
        gate = trained.verdict.gates["no_skew"]
        assert not gate["passed"] and "run `inseam audit`" in gate["found"]
        with pytest.raises(RefusedError, match="no_skew"):
            workspace.promote("lapse")
        workspace.audit(is_online=True)
        assert workspace.promote("lapse").version == trained.version.version
