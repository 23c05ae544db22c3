"""The engine contract on Spark over Delta tables: in this process, on a standalone cluster, by Spark Connect;
and its values from every online store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from inseam.adapters.delta.tables import DeltaTables
from inseam.ports.engine import Engine
from inseam.ports.tables import Tables
from inseam.testing.contracts.engine import EngineContract, JoinContract, Opener, drawn
from inseam.testing.contracts.online_values import OnlineValuesContract
from inseam.testing.spark import connect_server, missing, standalone_cluster

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.slow,
    pytest.mark.timeout(900),
]

_BRIEF = {
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": "4",
}
"""A JVM that lives for minutes does not earn back what its second compiler costs; few rows need few partitions."""


def opener(place: Path, **options: Any) -> Opener:
    from inseam.adapters.spark.engine import SparkEngine

    tables = DeltaTables(place / "tables")

    def open_(memory_limit: str) -> tuple[Engine, Tables]:
        return SparkEngine(tables, directory=place / "staging", memory_limit=memory_limit, **options), tables

    return open_


@pytest.fixture(scope="class")
def spark(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opener]:
    """One session a class: a process works on one Spark at a time."""
    from inseam.adapters.spark.session import close

    close()  # other tests of this process may have left one
    place = tmp_path_factory.mktemp("spark")
    with ExitStack() as running:
        if request.cls.kind == "local":
            options: dict[str, Any] = {"url": "local[2]", "conf": _BRIEF}
        elif request.cls.kind == "cluster":
            here = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
            options = {"url": running.enter_context(standalone_cluster(place)), "conf": _BRIEF | here}
        else:
            options = {"url": running.enter_context(connect_server(place))}
        # Before the servers: a session says goodbye to its own.
        running.callback(close)
        yield opener(place, threads=2, **options)


def drawing(examples: int) -> Callable[[type[EngineContract]], type[EngineContract]]:
    """Its property-based tests draw fewer examples: each is some jobs of Spark, and DuckDB draws many of the same."""
    counts = {EngineContract: examples, OnlineValuesContract: 1}

    def decorated(suite: type[EngineContract]) -> type[EngineContract]:
        for contract, count in counts.items():
            for name, test in vars(contract).items():
                if hasattr(test, "hypothesis"):
                    again = given(**test.hypothesis._given_kwargs)(test.hypothesis.inner_test)
                    setattr(suite, name, settings(drawn, max_examples=count)(again))
        return suite

    return decorated


class _OnSpark(EngineContract, OnlineValuesContract):
    kind: str
    memory_limits = ("600MB",)

    @pytest.fixture
    def opener(self, spark: Opener) -> Opener:
        return spark


@drawing(5)
class TestConnect(_OnSpark):
    """The first one: the sessions after it are local again."""

    kind = "connect"


@drawing(15)
class TestLocal(_OnSpark, JoinContract):
    kind = "local"


@drawing(5)
class TestCluster(_OnSpark):
    kind = "cluster"
