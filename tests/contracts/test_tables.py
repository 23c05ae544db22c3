"""The tables contract on Delta: in a directory, and on an S3 server."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from inseam.adapters.delta.tables import DeltaTables
from inseam.testing.contracts.tables import TablesContract
from inseam.testing.s3 import BUCKET, CREDENTIALS, options, s3_server


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as endpoint:
        yield endpoint


class TestDelta(TablesContract):
    @pytest.fixture
    def tables(self, tmp_path: Path) -> DeltaTables:
        return DeltaTables(tmp_path / "tables")


class TestDeltaOnS3(TablesContract):
    @pytest.fixture
    def tables(self, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> DeltaTables:
        for name, value in CREDENTIALS.items():
            monkeypatch.setenv(name, value)
        return DeltaTables(f"s3://{BUCKET}/{uuid.uuid4().hex}/tables", options(endpoint))
