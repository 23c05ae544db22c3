"""An S3 server for the tests of this room, and the credentials that it takes."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from inseam.testing.s3 import BUCKET, CREDENTIALS, s3_server


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> str:
    """A place that is empty; the credentials are in the environment."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"
