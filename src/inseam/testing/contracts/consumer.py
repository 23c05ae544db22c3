"""What every `inseam.ports.consumer.Consumer` must do. Subclass and give a fixture ``broker``: a `Broker`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from itertools import count
from typing import Protocol

import pytest

from inseam.kernel.errors import UnavailableError
from inseam.ports.consumer import Consumer, Message

MOST = 1_000
WAIT_SECONDS = 1.0
_NAMES = count()


class Broker(Protocol):
    def publish(self, topic: str, payloads: Sequence[bytes]) -> None: ...

    def consumer(self, topic: str) -> Consumer: ...


def everything(consumer: Consumer, *, commits: bool = True) -> list[Message]:
    """All that there is, as `inseam consume --until-idle` takes it."""
    found: list[Message] = []
    while True:
        try:
            messages = consumer.poll(MOST, WAIT_SECONDS)
        except UnavailableError:
            continue
        if not messages:
            return found
        found += messages
        if commits:
            consumer.commit(messages)


def payloads(first: int, last: int) -> list[bytes]:
    return [b'{"number": %d}' % number for number in range(first, last)]


class ConsumerContract:
    @pytest.fixture
    def topic(self) -> str:
        return f"orders-{next(_NAMES)}"

    def test_all_is_given_in_each_partitions_order_and_once_when_committed(self, broker: Broker, topic: str) -> None:
        broker.publish(topic, payloads(0, 2500))
        with closing(broker.consumer(topic)) as consumer:
            given = everything(consumer)
            broker.publish(topic, payloads(2500, 2600))
            given += everything(consumer)
        assert sorted(message.payload for message in given) == sorted(payloads(0, 2600))
        assert len({message.id for message in given}) == 2600
        for partition in {message.partition for message in given}:
            numbers = [int(m.payload[11:-1]) for m in given if m.partition == partition]
            assert numbers == sorted(numbers)
        with closing(broker.consumer(topic)) as consumer:
            assert everything(consumer) == []

    def test_what_was_not_committed_is_given_again_the_same(self, broker: Broker, topic: str) -> None:
        broker.publish(topic, payloads(0, 30))
        with closing(broker.consumer(topic)) as consumer:
            first = everything(consumer, commits=False)
        broker.publish(topic, payloads(30, 40))
        with closing(broker.consumer(topic)) as consumer:
            again = everything(consumer)
        assert len(first) == 30
        assert {message.id: message for message in first}.items() <= {message.id: message for message in again}.items()
        assert len(again) == 40

    def test_messages_need_be_nothing_in_particular(self, broker: Broker, topic: str) -> None:
        odd = [b"", b"\xff\x00", b"[" * 2000, "ü".encode()]
        broker.publish(topic, odd)
        with closing(broker.consumer(topic)) as consumer:
            assert sorted(message.payload for message in everything(consumer)) == sorted(odd)
