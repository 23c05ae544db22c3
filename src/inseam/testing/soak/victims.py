"""The processes that are killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO


class Victim:
    """A command with all its children, in a process group of its own."""

    def __init__(self, name: str, command: Sequence[str], root: Path, variables: Mapping[str, str]) -> None:
        self.name = name
        self.deaths = 0
        self.falls = 0
        """How often it had ended by itself when it was to be killed."""
        self._command, self._root, self._variables = command, root, variables
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] = (root / f"{name}.log").open("ab")
        self.start()

    @classmethod
    def verb(cls, root: Path, variables: Mapping[str, str], *words: str) -> Victim:
        """A verb of the command line."""
        return cls(words[0], (sys.executable, "-m", "inseam", *words), root, variables)

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command,
            cwd=self._root,
            env={**os.environ, **self._variables},
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def kill(self) -> None:
        """At once, without a chance to clean up."""
        if self._process is None:
            return
        self.falls += not self.is_alive()
        with suppress(ProcessLookupError):  # it has ended, and so have its children
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None
        self.deaths += 1

    def restart(self) -> None:
        self.kill()
        self.start()

    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None
