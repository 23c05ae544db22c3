"""The engine contract on DuckDB over Delta tables, and its values from every online store."""

from pathlib import Path

import pytest

from inseam.adapters.delta.tables import DeltaTables
from inseam.adapters.duckdb import keys
from inseam.adapters.duckdb.engine import DuckdbEngine
from inseam.ports.engine import Engine
from inseam.ports.tables import Tables
from inseam.testing.contracts.engine import DrawnJoinContract, EngineContract, Opener
from inseam.testing.contracts.online_values import OnlineValuesContract
from inseam.testing.contracts.wildcard import DrawnWildcardContract


class TestDuckdb(EngineContract, OnlineValuesContract, DrawnJoinContract, DrawnWildcardContract):
    # At the smaller one nothing fits: every build goes through the spill.
    memory_limits = ("1GB", "1KB")

    # The Ibis expression that serves what the sweep doesn't must give the same values for what it does.
    @pytest.fixture(params=["auto", "general"])
    def opener(self, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Opener:
        # However few whole-number keys, they are looked up as many are, and plain tables are read without SQL.
        monkeypatch.setattr(keys, "_FEW", 0)
        tables = DeltaTables(tmp_path / "tables")

        def open_(memory_limit: str) -> tuple[Engine, Tables]:
            engine = DuckdbEngine(tables, directory=tmp_path / "spill", memory_limit=memory_limit)
            engine._path = request.param
            return engine, tables

        return open_
