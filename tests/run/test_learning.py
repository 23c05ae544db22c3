"""Training and promoting by the workspace: killed at any instant, without a tracker, against a moving champion."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from inseam.ir.records import AliasRecord, ModelVersionRecord, RunRecord, VerdictRecord
from inseam.kernel.errors import RefusedError
from inseam.run.workspace import open as open_workspace

TUNED = """
from inseam import Tune, beats_champion, integer

@model("tuned", will_lapse, metric="roc_auc", gates=[beats_champion()], slices=["last_store"],
       tune=Tune({"max_depth": integer(1, 6)}, trials=3))
def train_tuned(data, params):
    from sklearn.tree import DecisionTreeClassifier
    return DecisionTreeClassifier(max_depth=params["max_depth"], random_state=params["seed"]).fit(data.X, data.y)

@model("plain", will_lapse, metric="roc_auc", gates=[beats_champion()])
def train_plain(data, params):
    from sklearn.tree import DecisionTreeClassifier
    return DecisionTreeClassifier(**params).fit(data.X, data.y)
"""

TRAIN = """
import sys, inseam
def told(what, done, total=None):
    print(what, done, flush=True)
inseam.open(sys.argv[1]).train("tuned", progress=told)
"""


@pytest.fixture
def loaded(project: Path) -> Path:
    definitions = project / "shop" / "definitions.py"
    definitions.write_text(definitions.read_text() + TUNED)
    with open_workspace(project) as workspace:
        workspace.ingest(is_history=True)
        workspace.build("will_lapse")
    return project


def tracked(project: Path, model: str) -> tuple[list[str], list[str]]:
    """The states of the model's runs in MLflow, and its registered versions as we number them."""
    from mlflow import MlflowClient

    uri = f"sqlite:///{project}/.inseam/mlflow.db"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiment = client.get_experiment_by_name(model)
    runs = client.search_runs([experiment.experiment_id]) if experiment is not None else []
    versions = client.search_model_versions(f"name = '{model}'")
    return [run.info.status for run in runs], sorted(version.tags["inseam_version"] for version in versions)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_any_instant_a_tuned_training_is_done_once(loaded: Path, seed: int) -> None:
    """Each process is killed a little after it told of a step; the last one is left alone."""
    import optuna

    chance = random.Random(seed)
    for step in (chance.randrange(2, 8), 8, 9, None):
        process = subprocess.Popen(
            [sys.executable, "-c", TRAIN, str(loaded)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        told: list[str] = []
        while step is not None and len(told) < step and (line := process.stdout.readline()):
            told.append(line)
        if step is not None:
            time.sleep(chance.uniform(0, 1.5))
            process.send_signal(signal.SIGKILL)
        _, errors = process.communicate()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, errors

    with open_workspace(loaded) as workspace:
        ledger = workspace.context.ledger
        (version,) = ledger.select(ModelVersionRecord, model="tuned")
        assert ledger.select(VerdictRecord, model="tuned", version=1)
        alias = ledger.get(AliasRecord, "tuned", "champion")
        assert alias is not None and alias.version == 1
        made_by = ledger.get(RunRecord, version.provenance["run"])
        assert made_by is not None and made_by.status == "succeeded"
        assert not ledger.select(RunRecord, status="running")
    assert tracked(loaded, "tuned") == (["FINISHED"], ["1"])
    (study,) = optuna.get_all_study_summaries(f"sqlite:///{loaded}/.inseam/optuna.db")
    trials = optuna.load_study(study_name=study.study_name, storage=f"sqlite:///{loaded}/.inseam/optuna.db").trials
    assert sum(trial.state.name in ("COMPLETE", "PRUNED") for trial in trials) == 3
    assert not [trial for trial in trials if trial.state.name == "RUNNING"]
    # What a killed process had begun to draw is hidden, and swept a day later.
    assert [place for place in (loaded / ".inseam" / "untracked").iterdir() if not place.name.startswith(".")] == []


@contextmanager
def dying_tracker() -> Iterator[str]:
    """The URL of a server that knows the experiment, begins a run of it, and then answers nobody any more."""
    experiment = {"experiment_id": "1", "name": "plain", "lifecycle_stage": "active", "artifact_location": "file:/x"}
    info = {"run_id": "r", "experiment_id": "1", "status": "RUNNING", "artifact_uri": "file:/x/r", "start_time": 1}
    answers = {"get-by-name": {"experiment": experiment}, "search": {}, "create": {"run": {"info": info, "data": {}}}}

    class Dying(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = answers.pop(self.path.partition("?")[0].rpartition("/")[2], None)
            if answer is None:
                server.socket.close()
                self.connection.close()
                return
            body = json.dumps(answer).encode()
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - the library's name

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Dying)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    assert not answers, "it was killed half-way"
    server.shutdown()


def test_what_was_trained_without_a_tracker_is_whole_and_tracked_later(
    loaded: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with dying_tracker() as url:
        monkeypatch.setenv("INSEAM_TRACKING", url)
        with open_workspace(loaded) as workspace:
            trained = workspace.train("plain", params={"max_depth": 1})
            assert trained.champion is not None
            assert trained.untracked == ("plain@1",)
    assert "plain@1 is not tracked yet" in caplog.text
    assert "cannot be reached" in caplog.text

    monkeypatch.delenv("INSEAM_TRACKING")
    with open_workspace(loaded) as workspace:
        better = workspace.train("plain", params={"max_depth": 4})
        assert better.untracked == ()
        statuses, versions = tracked(loaded, "plain")
        assert (statuses, versions) == (["FINISHED", "FINISHED"], ["1", "2"])


def test_a_verdict_against_a_former_champion_is_reached_anew(loaded: Path) -> None:
    with open_workspace(loaded) as workspace:
        ledger = workspace.context.ledger
        assert workspace.train("plain", params={"max_depth": 1}).champion is not None
        middle = workspace.train("plain", params={"max_depth": 2}, can_promote=False)
        assert middle.verdict.is_passed
        assert middle.verdict.gates["beats_champion"]["evidence"]["champion"] == 1
        best = workspace.train("plain", params={"max_depth": 5})
        assert best.champion is not None and best.champion.version == 3

        with pytest.raises(RefusedError, match="of version 3"):
            workspace.promote("plain", 2)
        judged = ledger.select(VerdictRecord, model="plain", version=2)
        assert [one.gates["beats_champion"]["evidence"]["champion"] for one in judged] == [1, 3]
        assert workspace.promote("plain", 2, is_forced=True).version == 2
