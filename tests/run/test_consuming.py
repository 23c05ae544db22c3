"""What Redis Streams and Kafka publish, into a project's tables: each message once, whatever is killed."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from inseam.kernel.errors import Problem, SettingError
from inseam.run.workspace import Workspace
from inseam.run.workspace import open as open_workspace
from inseam.surface.cli.main import app as command_line
from inseam.testing import kafka, redis

DEFINITIONS = """
from inseam import Source
schema = {"at": "timestamp", "number": "int64", "amount": "float64"}
orders = Source("orders", timestamp="at", schema=schema, stream=True, checks=["amount >= 0"])
"""


class Broker(Protocol):
    url: str

    def publish(self, payloads: Sequence[bytes]) -> None: ...


class _Redis:
    def __init__(self, server: redis.RedisServer, stream: str) -> None:
        self._server, self._stream = server, stream
        self.url = f"{server.url}?stream={stream}"

    def publish(self, payloads: Sequence[bytes]) -> None:
        pipeline = self._server.client().pipeline()
        for payload in payloads:
            pipeline.xadd(self._stream, {"row": payload})
        pipeline.execute()


class _Kafka:
    def __init__(self, broker: kafka.KafkaBroker, topic: str) -> None:
        self._broker, self._topic = broker, topic
        self.url = broker.url(topic)

    def publish(self, payloads: Sequence[bytes]) -> None:
        self._broker.publish(self._topic, payloads)


@pytest.fixture(params=["redis", "kafka"])
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    module: Any = {"redis": redis, "kafka": kafka}[request.param]
    if not module.is_installed():
        pytest.skip(module.WHY_NOT)
    if request.param == "redis":
        with redis.redis_server() as server:
            yield _Redis(server, "shop-orders")
    else:
        with kafka.kafka_broker() as started:
            yield _Kafka(started, "shop-orders")


def project(root: Path, url: str) -> Path:
    (root / "shop.py").write_text(DEFINITIONS)
    (root / "inseam.toml").write_text(
        f'[project]\nname = "shop"\n[environments.default.consume.orders]\nurl = "{url}"\n'
    )
    return root


def row(number: int, **more: object) -> bytes:
    return json.dumps({"at": "2024-06-01T12:00:00Z", "number": number, "amount": 1.5} | more).encode()


def numbers(workspace: Workspace) -> list[int]:
    files = workspace.context.tables.snapshot("sources/orders").files
    return sorted(number for file in files for number in pq.read_table(file)["number"].to_pylist())


def test_rows_are_in_the_table_and_messages_that_are_none_in_quarantine(broker: Broker, tmp_path: Path) -> None:
    poison = [b"", b"nonsense", b"[]", b"\xff\xfe", b"[" * 2000, row(1, amount="much"), row(2, what=1), row(3, at=None)]
    broker.publish([*map(row, range(1000)), *poison, row(-1, amount=-1), *map(row, range(1000, 1500))])
    with open_workspace(project(tmp_path, broker.url)) as workspace:
        assert workspace.consume("orders", is_until_idle=True) == 1500 + len(poison) + 1
        load = workspace.ingest("orders")["orders"]
        assert load is not None
        assert (load.rows_accepted, load.rows_quarantined) == (1500, len(poison) + 1)
        assert numbers(workspace) == list(range(1500))
        files = workspace.context.tables.snapshot("quarantine/orders").files
        told = str([pq.read_table(file).to_pylist() for file in files])
    assert "amount: Expected `float | null`, got `str`" in told
    assert "nonsense" in told


@pytest.mark.slow
def test_a_killed_consumer_loses_and_doubles_nothing(broker: Broker, tmp_path: Path) -> None:
    root = project(tmp_path, broker.url)
    command = [sys.executable, "-m", "inseam.surface.cli.main", "consume", "orders", "--project", str(root)]
    for turn in range(2):
        broker.publish([row(number) for number in range(turn * 2000, (turn + 1) * 2000)])
        killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open_workspace(root) as workspace:
            log = workspace.context.stream_log
            while not log.read("orders", turn * 2000, 1):
                assert killed.poll() is None
                time.sleep(0.02)
        killed.kill()
        killed.wait()
    invoked = CliRunner().invoke(command_line, ["consume", "orders", "--until-idle", "--project", str(root), "--json"])
    assert invoked.exit_code == 0, invoked.output
    with open_workspace(root) as workspace:
        workspace.ingest("orders")
        assert numbers(workspace) == list(range(4000))


class _KilledError(Exception):
    """Between two lines of the loop."""


def test_what_is_in_the_log_and_not_committed_comes_again_as_the_same_rows(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.publish([row(number) for number in range(50)])
    with open_workspace(project(tmp_path, broker.url)) as workspace:
        consumer = type(workspace.context.consumer("orders"))
        with monkeypatch.context() as patch:

            def die(*_: object) -> None:
                raise _KilledError

            patch.setattr(consumer, "commit", die)
            with pytest.raises(_KilledError):
                workspace.consume("orders", is_until_idle=True)
        assert workspace.context.stream_log.fence("orders").sequence > 0
        assert workspace.consume("orders", is_until_idle=True) == 50
        assert workspace.context.stream_log.fence("orders").sequence == 50


@contextmanager
def consuming(workspace: Workspace, told: list[Problem]) -> Iterator[threading.Thread]:
    thread = threading.Thread(
        target=lambda: workspace.consume("orders", is_until_idle=True, told=told.append), daemon=True
    )
    thread.start()
    yield thread
    thread.join(60)
    assert not thread.is_alive()


@pytest.mark.skipif(not redis.is_installed(), reason=redis.WHY_NOT)
def test_a_broker_that_is_away_is_told_once_and_waited_for(tmp_path: Path) -> None:
    told: list[Problem] = []
    with redis.redis_server("--appendonly", "yes", "--appendfsync", "always") as server:
        _Redis(server, "orders").publish([row(number) for number in range(10)])
        server.kill()
        with open_workspace(project(tmp_path, server.url)) as workspace:
            with consuming(workspace, told) as thread:
                thread.join(1.0)
                assert thread.is_alive()
                server.start()
            assert workspace.context.stream_log.fence("orders").sequence == 10
    assert [problem.code for problem in told] == ["unavailable"]


def test_where_rows_are_published_is_said_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = project(tmp_path, "redis://:hush@b/0")
    with pytest.raises(SettingError, match="holds a password") as caught:
        open_workspace(root)
    assert "hush" not in str(caught.value)
    assert "INSEAM_CONSUME_ORDERS_URL" in str(caught.value)
    (root / "inseam.toml").write_text('[project]\nname = "shop"\n')
    with open_workspace(root) as workspace, pytest.raises(SettingError, match="where its rows are published"):
        workspace.consume("orders")
    monkeypatch.setenv("INSEAM_CONSUME_ORDERS_URL", "gopher://b/0")
    with open_workspace(root) as workspace, pytest.raises(SettingError, match="no consumer adapter called 'gopher'"):
        workspace.consume("orders")
