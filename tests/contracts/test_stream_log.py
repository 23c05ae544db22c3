"""The stream log's contract on each adapter."""

from pathlib import Path

import pytest

from inseam.testing.contracts.stream_log import Opener, StreamLogContract


class TestLmdb(StreamLogContract):
    @pytest.fixture
    def opener(self, tmp_path: Path) -> Opener:
        return Opener("inseam.adapters.lmdb.stream_log:LmdbStreamLog", str(tmp_path / "stream"))
