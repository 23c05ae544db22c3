"""A Kafka broker of one's own for tests: librdkafka's own mock of a cluster, in a process that can be killed."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

WHY_NOT = "confluent-kafka is not installed (pip install 'inseam[kafka]')"
PARTITIONS = 4
"""Of each topic, which is there when it is first named."""
_QUIET: dict[str, Any] = {"log_level": 0}


def is_installed() -> bool:
    from importlib.util import find_spec

    return find_spec("confluent_kafka") is not None


class KafkaBroker:
    """Speaks Kafka's protocol on a port of the loopback; what it holds is gone with it."""

    def __init__(self, servers: str) -> None:
        self.servers = servers
        self._producer: Any = None

    def url(self, topic: str, group: str = "tests") -> str:
        return f"kafka://{self.servers}/{topic}?group={group}&session.timeout.ms=3000&heartbeat.interval.ms=300"

    def publish(self, topic: str, payloads: Sequence[bytes], partition: int = -1) -> None:
        import confluent_kafka

        self._producer = self._producer or confluent_kafka.Producer(_QUIET | {"bootstrap.servers": self.servers})
        for payload in payloads:
            self._producer.produce(topic, payload, partition=partition)
        left = self._producer.flush(30)
        assert not left, f"{left} messages did not arrive"


@contextmanager
def kafka_broker() -> Iterator[KafkaBroker]:
    """A started broker, killed at the end."""
    processes = multiprocessing.get_context("spawn")
    ours, theirs = processes.Pipe()
    process = processes.Process(target=_broker, args=(theirs,), daemon=True)
    process.start()
    try:
        yield KafkaBroker(ours.recv())
    finally:
        process.kill()
        process.join()


def _broker(wire: Any) -> None:
    import confluent_kafka

    producer = confluent_kafka.Producer({"test.mock.num.brokers": 1, "bootstrap.servers": ""} | _QUIET)
    (broker,) = producer.list_topics(timeout=10).brokers.values()
    wire.send(f"{broker.host}:{broker.port}")
    wire.recv()
