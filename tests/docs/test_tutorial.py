"""The tutorial's commands, run in its order in an empty directory."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"


def commands() -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", TUTORIAL.read_text(), flags=re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def run(words: list[str], cwd: Path) -> str:
    words = [sys.executable, "-m", "inseam.surface.cli.main", *words[1:]] if words[0] == "inseam" else words
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
def test_the_tutorial_runs_as_it_is_written(tmp_path: Path) -> None:
    cwd, server, prediction = tmp_path, None, ""
    try:
        for command in commands():
            words = shlex.split(command.replace("8000", PORT))
            if words[0] == "cd":
                cwd = cwd / words[1]
            elif words[:2] == ["inseam", "serve"]:
                server = serve(words, cwd)
            elif words[0] == "curl":
                prediction = json.loads(run(words, cwd))["predictions"][0]["id"]
            else:
                told = run([prediction if word == "ID" else word for word in words], cwd)
                assert "equal" in told or words[1] != "replay"
    finally:
        if server is not None:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
    assert prediction, "the tutorial asks the server"
    assert (cwd / "scores.parquet").stat().st_size > 0


PORT = "18573"


def serve(words: list[str], cwd: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "inseam.surface.cli.main", *words[1:]]
    server = subprocess.Popen(command, cwd=cwd, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/ready", timeout=5):
                return server
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the server did not get ready")
