"""The online contract on LMDB."""

from collections.abc import Callable
from pathlib import Path

import pytest

from inseam.adapters.lmdb.store import LmdbStore
from inseam.testing.contracts.online import OnlineContract


class TestLmdb(OnlineContract):
    @pytest.fixture
    def opener(self, tmp_path: Path) -> Callable[[], LmdbStore]:
        # A small map: the suite's writes make it grow.
        return lambda: LmdbStore(tmp_path / "online", map_size_bytes=1 << 16)
