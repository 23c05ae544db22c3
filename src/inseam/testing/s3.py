"""An S3 server of one's own for tests: moto, in a process, on a free port of the loopback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from inseam.testing.s3_process import BUSY

BUCKET = "lake"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
"""What a client sets in its environment; the server takes any."""
_START_SECONDS = 60


@contextmanager
def s3_server(*, takes_anybody: bool = True) -> Iterator[str]:
    """The endpoint of a server with an empty `BUCKET`. One that does not take anybody knows no user at all."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    # moto counts requests before it looks at credentials: the one that makes the bucket is let through.
    variables = os.environ | ({} if takes_anybody else {"INITIAL_NO_AUTH_ACTION_COUNT": "1"})
    command = [sys.executable, "-m", "inseam.testing.s3_process", str(port)]
    process = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    endpoint = f"http://127.0.0.1:{port}"
    try:
        _make_bucket(endpoint, process)
        yield endpoint
    finally:
        process.kill()
        process.wait()


def options(endpoint: str) -> Mapping[str, str]:
    """Options of tables and objects that lie there."""
    return {"aws_endpoint": endpoint, "aws_region": CREDENTIALS["AWS_REGION"]}


def as_google(endpoint: str) -> Mapping[str, str]:
    """What a client of Google Cloud Storage sets in its environment to find the same objects there, under ``gs://``."""
    account = {"gcs_base_url": endpoint, "disable_oauth": True, "client_email": "", "private_key": ""}
    key = json.dumps(account | {"private_key_id": ""})
    return {"GOOGLE_BASE_URL": endpoint, "GOOGLE_SERVICE_ACCOUNT_KEY": key}


def be_busy(endpoint: str, answers: int) -> None:
    """The next ``answers`` requests are told to slow down."""
    urllib.request.urlopen(f"{endpoint}{BUSY}?{answers}", timeout=10).close()


def _make_bucket(endpoint: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            request = urllib.request.Request(f"{endpoint}/{BUCKET}", method="PUT")
            urllib.request.urlopen(request, timeout=10).close()
            return
        except (urllib.error.URLError, ConnectionError):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"moto does not start: {process.poll()}") from None
            time.sleep(0.05)
