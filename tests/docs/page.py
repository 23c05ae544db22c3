"""Runs a page of the documentation as a reader would: writes its files, runs its commands and snippets, in order.

A fence's info string says what is done with it. ``console``: each line after ``$ `` is run; ``# exit N`` at its end
is the exit code that it must have (or ``N or M``). A language and a file name (``python shop/definitions.py``): the
file is written, and with ``>>`` between them, added to. ``python`` alone: run in a process of its own. ``text``: each
of its lines stands in what the block before it printed. ``inseam serve ... &`` starts a server and waits for it,
``kill %1`` ends it, and ``ID`` is the last prediction's id.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
_EXIT = re.compile(r"\s+# exit (\d+)(?: or (\d+))?\b.*$")
_PORT = "8000"


def blocks(page: str) -> list[tuple[str, str]]:
    """Info string and content of each fence."""
    return _FENCE.findall((DOCS / page).read_text(encoding="utf-8"))


@dataclass
class Reader:
    """Follows pages in ``cwd``, with these environment variables beside the process's own."""

    cwd: Path
    variables: dict[str, str] = field(default_factory=dict)
    printed: str = ""
    ran: int = 0
    prediction: str = ""
    commands: Path | None = None
    """Where commands lie that start at once (`inseam.testing.warm`): without it they are a reader's own."""
    _server: subprocess.Popen[bytes] | None = None
    _port: str = _PORT

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def follow(self, page: str) -> None:
        for info, content in blocks(page):
            language, _, target = info.partition(" ")
            if target:
                self._write(target, content)
            elif language == "console":
                self._console(content)
            elif language == "python":
                self._script(content)
            elif language == "text":
                self._expect(content)
            else:
                raise AssertionError(f"{page} has a block {info!r} that nothing runs")

    def _write(self, target: str, content: str) -> None:
        path = self.cwd / target.removeprefix(">> ")
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_text(encoding="utf-8") if target.startswith(">> ") else ""
        path.write_text(before + content, encoding="utf-8")

    def _console(self, content: str) -> None:
        self.printed = ""
        for line in content.splitlines():
            assert line.startswith("$ "), f"{line!r} is no command"
            self._command(line.removeprefix("$ "))

    def _command(self, line: str) -> None:
        expected = _EXIT.search(line)
        command = _EXIT.sub("", line)
        if command.startswith("cd "):
            self.cwd = self.cwd / command[3:].strip()
        elif command.startswith("export "):
            self._export(command)
        elif command == "kill %1":
            self._stop()
        elif command.endswith("&"):
            self._serve(command.removesuffix("&"))
        else:
            codes = [int(code) for code in expected.groups() if code] if expected else [0]
            self._run(self._translated(command), codes)

    def _export(self, command: str) -> None:
        name = command.removeprefix("export ").partition("=")[0]
        told = ["bash", "-c", f'{command}; printf %s "${name}"']
        done = subprocess.run(told, cwd=self.cwd, env=self._environment(), capture_output=True, text=True, check=True)
        self.variables[name] = done.stdout

    def _translated(self, command: str) -> str:
        if command.startswith("pip install "):
            # Into a folder of the test's own: the environment that runs the tests stays as it is.
            self.variables["PYTHONPATH"] = str(self.cwd / "installed")
            quiet = "-q --disable-pip-version-check --no-deps --no-build-isolation --target installed"
            return f"python -m pip install {quiet} {command.rsplit(maxsplit=1)[-1]}"
        return re.sub(r"\bID\b", self.prediction, command).replace(f":{_PORT}/", f":{self._port}/")

    def _run(self, command: str, expected: Sequence[int]) -> None:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.cwd,
            env=self._environment(is_warm=True),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in expected, f"$ {command}\nexit {done.returncode}\n{done.stdout}\n{done.stderr}"
        self.ran += 1
        self.printed += done.stdout + done.stderr
        if "/predict " in command:
            self.prediction = json.loads(done.stdout)["predictions"][0]["id"]

    def _script(self, content: str) -> None:
        self.printed = ""
        path = self.cwd / "snippet.py"
        path.write_text(content, encoding="utf-8")
        self._run("python snippet.py", [0])
        path.unlink()

    def _expect(self, content: str) -> None:
        printed = " ".join(self.printed.split())
        for line in content.splitlines():
            for part in line.split("..."):
                assert " ".join(part.split()) in printed, f"{part!r} is not in\n{self.printed}"

    def _environment(self, *, is_warm: bool = False) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        if is_warm and self.commands is not None and "PYTHONPATH" not in self.variables:
            path = f"{self.commands}{os.pathsep}{path}"
        # Tables are as wide as a reader's terminal, so that no cell is folded.
        return {**os.environ, "PATH": path, "COLUMNS": "200", **self.variables}

    def _serve(self, command: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = str(probe.getsockname()[1])
        words = ["bash", "-c", f"exec {command.strip()} --port {self._port}"]
        self._server = subprocess.Popen(
            words, cwd=self.cwd, env=self._environment(), stderr=subprocess.DEVNULL, start_new_session=True
        )
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline and self._server.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/ready", timeout=5):
                    self.ran += 1
                    return
            except OSError:
                time.sleep(0.2)
        raise AssertionError("the server did not get ready")

    def _stop(self) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        server.terminate()
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
