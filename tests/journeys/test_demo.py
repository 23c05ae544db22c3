"""The demo, as a user runs it: the whole loop on a simulated retailer, safe to repeat."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

import inseam
from inseam.ir.records import LoadRecord, ModelVersionRecord
from inseam.kernel.errors import RefusedError
from inseam.ports.progress import silent
from inseam.surface.demo.prepare import write_data, write_project

SCALE = 0.05
COMMAND = [sys.executable, "-m", "inseam", "demo"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "shop"


@pytest.fixture(scope="module")
def facts(home: Path) -> dict[str, Any]:
    """The summary of a first run."""
    done = subprocess.run(
        [*COMMAND, str(home), "--scale", str(SCALE), "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-2_000:]
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


@pytest.mark.slow
def test_every_row_is_accepted_or_quarantined_with_its_reason(facts: dict[str, Any]) -> None:
    for name, source in facts["sources"].items():
        assert source["accepted"] + source["quarantined"] == facts["simulated"][name]
    assert facts["sources"]["orders"]["quarantined"] > 0
    assert len(facts["quarantine"]) == 2
    assert "customer_id" in " ".join(facts["quarantine"])


@pytest.mark.slow
def test_both_models_pass_their_gates(facts: dict[str, Any]) -> None:
    assert set(facts["models"]) == {"lapse", "send_back"}
    for model in facts["models"].values():
        assert model["low"] < model["value"] < model["high"]
        assert model["low"] > 0.5
        assert all(model["gates"].values())
    for made in facts["training_sets"].values():
        assert made["train"] + made["test"] == made["rows"]
        assert made["purged"] > 0
        assert made["unripe"] > 0
        assert 0 < made["positive_rate"] < 1


@pytest.mark.slow
def test_what_was_served_replays_and_is_what_the_batch_says(facts: dict[str, Any]) -> None:
    for name, replayed in facts["replays"].items():
        assert replayed["is_equal"], name
        assert replayed["compared"] > 10
    assert facts["score"]["is_as_served"]
    assert facts["score"]["rows"] > 0
    assert "commit" in facts["receipt"]
    assert "training_set:will_lapse" in facts["lineage"]
    assert "feature_view:spend" in facts["lineage"]


def _heed_interrupts() -> None:
    """Whoever started these tests in the background may have had interrupts ignored, which children inherit."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.slow
def test_a_second_run_does_nothing_twice_and_leaves_the_server_running(facts: dict[str, Any], home: Path) -> None:
    command = [*COMMAND, str(home), "--scale", str(SCALE), "--json", "--serve"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=_heed_interrupts
    ) as running:
        assert running.stdout is not None
        try:
            again = json.loads("".join(iter(running.stdout.readline, "}\n")) + "}")
            with urllib.request.urlopen(again["docs"], timeout=10) as answer:
                assert answer.status == 200
        finally:
            running.send_signal(signal.SIGINT)
        # Ctrl-C ends the wait for the server; one that comes an instant earlier interrupts the verb itself.
        assert running.wait(30) in (0, 130)
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(again["docs"], timeout=10)

    assert again["models"] == facts["models"]
    assert again["training_sets"] == facts["training_sets"]
    assert again["online"] == facts["online"]
    assert again["replays"] == facts["replays"]
    with inseam.open(home) as workspace:
        ledger = workspace.context.ledger
        assert len(ledger.select(LoadRecord)) == len(again["sources"])
        assert len(ledger.select(ModelVersionRecord)) == len(again["models"])
        assert workspace.plan().is_empty


@pytest.mark.slow
def test_a_killed_demo_leaves_no_server_behind(facts: dict[str, Any], home: Path) -> None:
    command = [*COMMAND, str(home), "--scale", str(SCALE), "--json", "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        docs = json.loads("".join(iter(running.stdout.readline, "}\n")) + "}")["docs"]
        assert facts["docs"] != docs
        running.kill()
    until = time.monotonic() + 30
    while _answers(docs):
        assert time.monotonic() < until
        time.sleep(0.2)


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=10).close()
    except OSError:
        return False
    return True


def test_the_projects_definitions_have_no_mistakes(tmp_path: Path) -> None:
    written = write_project(tmp_path)

    assert tmp_path / "inseam.toml" in written
    with inseam.open(tmp_path) as workspace:
        # Its files are simulated later.
        assert {problem.code for problem in workspace.check()} == {"not-found"}
        assert workspace.models() == ("lapse", "send_back")


def test_a_users_changes_to_the_definitions_stay(tmp_path: Path) -> None:
    write_project(tmp_path)
    shop = tmp_path / "retail" / "shop.py"
    shop.write_text("# mine\n")

    assert write_project(tmp_path) == []
    assert shop.read_text() == "# mine\n"


def test_a_directory_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")

    with pytest.raises(RefusedError, match="there are files here"):
        write_project(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_data_is_simulated_once_and_never_mixed_with_another_scale(tmp_path: Path) -> None:
    shop = write_data(tmp_path, 0.02, silent)
    before = {path: path.stat().st_mtime_ns for path in shop.data.rglob("*")}

    assert write_data(tmp_path, 0.02, silent) == shop
    assert {path: path.stat().st_mtime_ns for path in shop.data.rglob("*")} == before
    with pytest.raises(RefusedError, match="scale"):
        write_data(tmp_path, 0.03, silent)


def test_data_that_the_demo_did_not_make_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()

    with pytest.raises(RefusedError, match="not made by the demo"):
        write_data(tmp_path, 0.02, silent)


def test_a_retailer_too_small_to_learn_from_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    command = [*COMMAND, str(tmp_path / "shop"), "--scale", "0.02"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == RefusedError.exit_code
    assert "400 customers" in done.stderr
    assert "--scale 0.05" in done.stderr
    assert not (tmp_path / "shop").exists()
