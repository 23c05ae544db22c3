"""The tables contract on Delta."""

from pathlib import Path

import pytest

from inseam.adapters.delta.tables import DeltaTables
from inseam.testing.contracts.tables import TablesContract


class TestDelta(TablesContract):
    @pytest.fixture
    def tables(self, tmp_path: Path) -> DeltaTables:
        return DeltaTables(tmp_path / "tables")
