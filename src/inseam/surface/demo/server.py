"""The real server, in a process of its own, and how to ask it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

from inseam.kernel.errors import RefusedError

_START_SECONDS = 60.0
_STOP_SECONDS = 15.0
_ASK_SECONDS = 30.0
_TAIL = 1_500


class Server:
    """``inseam serve`` of a project on a free port of this machine. What it says goes to ``log``.

    It ends with this process, even where this one is killed and can stop nothing.
    """

    def __init__(self, project: Path, log: Path) -> None:
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        serve = ["serve", "--project", str(project), "--port", str(port)]
        command = [sys.executable, "-m", __name__, str(os.getpid()), *serve]
        with log.open("wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=os.environ)

    def wait_ready(self) -> None:
        """Until every endpoint has its champion; `RefusedError` with the server's words when it does not come up."""
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until:
            if self.process.poll() is not None:
                break
            if self._is_ready():
                return
            time.sleep(0.1)
        told = self._log.read_text(errors="replace")[-_TAIL:].strip()
        raise RefusedError("inseam serve", f"the server did not come up: {told}", mend=f"see {self._log}")

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/ready", timeout=_ASK_SECONDS) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """The answer's JSON; `RefusedError` with the answer's problems for any other status than 200."""
        request = urllib.request.Request(
            f"{self.url}{path}", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=_ASK_SECONDS) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            told = error.read().decode(errors="replace")
            raise RefusedError(f"POST {path}", f"{error.code}: {told[:_TAIL]}") from None
        except OSError as error:
            raise RefusedError(f"POST {path}", f"the server did not answer: {error}", mend=f"see {self._log}") from None

    def wait(self) -> None:
        """Until the server ends, or Ctrl-C, which is the way to end it."""
        with suppress(KeyboardInterrupt):
            self.process.wait()

    def stop(self) -> None:
        """End it gracefully, and by force when it does not heed."""
        self.process.terminate()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _main() -> None:
    """``python -m inseam.surface.demo.server PARENT serve ...``: what `Server` runs, as long as PARENT lives."""
    from inseam.surface.cli.main import app

    threading.Thread(target=_follow, args=(int(sys.argv.pop(1)),), name="parent", daemon=True).start()
    app()


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    _main()
