"""What holds for every test: property-based tests draw values, they do not race, and they draw from one pool.

Hypothesis also draws constants that it finds in our loaded modules. A module that is imported lazily in the middle of a
test would change that pool between two runs of it, so the rooms that such tests visit are loaded first.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from inseam.testing.spark import BRIEF
from inseam.testing.warm import warm_commands

# Frameworks' threads that wait for each other while another test has their processor would do so at full speed.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("SPARK_SUBMIT_OPTS", BRIEF)

settings.register_profile("inseam", deadline=None)
settings.load_profile("inseam")

_VISITED = (
    "kernel", "ir", "define", "ports", "plan", "adapters.duckdb", "adapters.delta", "adapters.lmdb", "adapters.sql",
    "stages.ingest", "stages.features", "stages.score",
)  # fmt: skip
for _room in _VISITED:
    _package = importlib.import_module(f"inseam.{_room}")
    for _found in pkgutil.iter_modules(_package.__path__, f"{_package.__name__}."):
        if not _found.ispkg:
            importlib.import_module(_found.name)


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where an ``inseam`` lies that starts at once."""
    with warm_commands(tmp_path_factory.mktemp("commands")) as directory:
        yield directory
