"""The consumer's contract on each adapter."""

from collections.abc import Iterator, Sequence

import pytest

from inseam.ports.consumer import Consumer
from inseam.testing import kafka, redis
from inseam.testing.contracts.consumer import ConsumerContract


class _Redis:
    def __init__(self, server: redis.RedisServer) -> None:
        self.server = server

    def publish(self, topic: str, payloads: Sequence[bytes]) -> None:
        pipeline = self.server.client().pipeline()
        for payload in payloads:
            pipeline.xadd(topic, {"row": payload})
        pipeline.execute()

    def consumer(self, topic: str) -> Consumer:
        from inseam.adapters.redis.consumer import RedisConsumer

        return RedisConsumer(self.server.url, topic=topic, group="tests")


class _Kafka:
    def __init__(self, broker: kafka.KafkaBroker) -> None:
        self.publish = broker.publish
        self.url = broker.url

    def consumer(self, topic: str) -> Consumer:
        from inseam.adapters.kafka.consumer import KafkaConsumer

        return KafkaConsumer(self.url(topic), topic="", group="")


@pytest.fixture(scope="module")
def redis_broker() -> Iterator[_Redis]:
    with redis.redis_server() as server:
        yield _Redis(server)


@pytest.fixture(scope="module")
def kafka_broker() -> Iterator[_Kafka]:
    with kafka.kafka_broker() as broker:
        yield _Kafka(broker)


@pytest.mark.skipif(not redis.is_installed(), reason=redis.WHY_NOT)
class TestRedis(ConsumerContract):
    @pytest.fixture
    def broker(self, redis_broker: _Redis) -> _Redis:
        return redis_broker


@pytest.mark.skipif(not kafka.is_installed(), reason=kafka.WHY_NOT)
class TestKafka(ConsumerContract):
    @pytest.fixture
    def broker(self, kafka_broker: _Kafka) -> _Kafka:
        return kafka_broker
