"""An Azure blob server of one's own for tests: Azurite, in a process, on a free port of the loopback."""

from __future__ import annotations

import base64
import hashlib
import hmac
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path

CONTAINER = "lake"
WHY_NOT = "azurite is not installed (npm install --prefix .venv/azurite azurite)"
_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's only account, and its published key."""
_START_SECONDS = 60


def _command() -> str | None:
    """Azurite of the virtual environment, or of the machine."""
    own = Path(sys.prefix, "azurite", "node_modules", ".bin", "azurite-blob")
    return str(own) if own.exists() else shutil.which("azurite-blob")


def is_installed() -> bool:
    return _command() is not None


@contextmanager
def azure_server() -> Iterator[Mapping[str, str]]:
    """A server with an empty `CONTAINER`: the variables that a client sets in its environment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    options = ["--inMemoryPersistence", "--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    process = subprocess.Popen(
        [str(_command()), *options, "--blobHost", "127.0.0.1", "--blobPort", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    endpoint = f"http://127.0.0.1:{port}/{_ACCOUNT}"
    try:
        _make_container(endpoint, process)
        yield {
            "AZURE_STORAGE_ENDPOINT": endpoint,
            "AZURE_STORAGE_ACCOUNT_NAME": _ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": _KEY,
        }
    finally:
        process.kill()
        process.wait()


def _make_container(endpoint: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            request = urllib.request.Request(
                f"{endpoint}/{CONTAINER}?restype=container", method="PUT", headers=_signed()
            )
            urllib.request.urlopen(request, timeout=10).close()
            return
        except (urllib.error.URLError, ConnectionError):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"azurite does not start: {process.poll()}") from None
            time.sleep(0.05)


def _signed() -> dict[str, str]:
    """The headers of the request that makes the container, signed with the account's key."""
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    told = "".join(f"{name}:{value}\n" for name, value in headers.items())
    text = "PUT" + "\n" * 12 + told + f"/{_ACCOUNT}/{_ACCOUNT}/{CONTAINER}\nrestype:container"
    signature = base64.b64encode(hmac.digest(base64.b64decode(_KEY), text.encode(), hashlib.sha256)).decode()
    return headers | {"Authorization": f"SharedKey {_ACCOUNT}:{signature}"}
