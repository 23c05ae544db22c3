"""The engine contract on Spark over Delta tables: in this process, on a standalone cluster, by Spark Connect."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inseam.adapters.delta.tables import DeltaTables
from inseam.ports.engine import Engine
from inseam.ports.tables import Tables
from inseam.testing.contracts.engine import EngineContract, Opener, drawn
from inseam.testing.spark import connect_server, missing, standalone_cluster
from inseam.testing.worlds import worlds

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("spark"),
]

_BRIEF = {"spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1", "spark.ui.enabled": "false"}
"""A JVM that lives for minutes does not earn back what its second compiler costs."""


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

    place = tmp_path_factory.mktemp("spark")
    with ExitStack() as running:
        running.callback(close)
        kind = request.cls.kind
        if kind == "local":
            yield opener(place, master="local[2]", conf=_BRIEF)
        elif kind == "cluster":
            here = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
            url = running.enter_context(standalone_cluster(place))
            yield opener(place, master=url, threads=2, conf=_BRIEF | here)
        else:
            yield opener(place, remote=running.enter_context(connect_server(place)), threads=2)


def few(test: Any, **strategies: Any) -> Any:
    """The same test on fewer examples: what a value is does not depend on where Spark runs."""
    return settings(drawn, max_examples=6)(given(**strategies)(test.hypothesis.inner_test))


class _OnSpark(EngineContract):
    kind: str
    memory_limits = ("600MB",)

    @pytest.fixture
    def opener(self, spark: Opener) -> Opener:
        return spark


class TestLocal(_OnSpark):
    kind = "local"


class _Elsewhere(_OnSpark):
    test_every_value_is_what_the_definition_of_time_says = few(
        EngineContract.test_every_value_is_what_the_definition_of_time_says, data=st.data(), world=worlds()
    )
    test_views_of_several_tables_and_keys_stand_side_by_side = few(
        EngineContract.test_views_of_several_tables_and_keys_stand_side_by_side,
        data=st.data(), world=worlds(most=15), other=worlds(most=15),
    )  # fmt: skip
    test_snapshots_hold_the_keys_that_were_active = few(
        EngineContract.test_snapshots_hold_the_keys_that_were_active, data=st.data(), world=worlds()
    )


class TestCluster(_Elsewhere):
    kind = "cluster"


class TestConnect(_Elsewhere):
    kind = "connect"
