"""Who holds something: a process, named so that another can tell whether it is still the same one, and alive."""

from __future__ import annotations

import os
import socket
import subprocess
from functools import cache
from pathlib import Path


def host() -> str:
    return socket.gethostname()


@cache
def machine() -> str:
    """Equal for two processes exactly when they can see each other's process ids.

    The host's name is not enough: it survives a restart, and containers may share one.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return host()
    return f"{host()} {boot} {namespace}"


def started(pid: int) -> str | None:
    """When the process began, as text to compare with; None when there is no such process (or only its remains)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return None if Path("/proc/self/stat").exists() else _started_by_ps(pid)
    except ProcessLookupError:
        return None
    # The name, in parentheses, may hold anything; after it come the state and, as the 20th, the start in ticks.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else fields[19]


def _started_by_ps(pid: int) -> str | None:
    found = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return found.stdout.strip() or None


def own() -> tuple[int, str]:
    """This process: its id and when it began."""
    pid = os.getpid()
    return pid, started(pid) or ""
