"""Messages of a Kafka topic, read in the name of a consumer group, by librdkafka."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import confluent_kafka as kafka
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from inseam.kernel.clock import SECOND
from inseam.kernel.errors import SettingError, UnavailableError
from inseam.ports.consumer import Message
from inseam.ports.server_url import shown

_LOG = logging.getLogger("inseam.kafka")
_ANSWER_SECONDS = 5.0
_JOIN_SECONDS = 60.0
"""The longest that a group takes to deal its partitions, and a broker to give the first of them."""
_NEVER = frozenset(
    {
        KafkaError._AUTHENTICATION,
        KafkaError._FATAL,
        KafkaError._INVALID_ARG,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.SASL_AUTHENTICATION_FAILED,
    }
)
_DEALT_ANEW = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError._ASSIGNMENT_LOST,
        KafkaError._STATE,
    }
)


class KafkaConsumer:
    """`inseam.ports.consumer.Consumer` of the topic that the URL names: ``kafka://HOST:PORT/TOPIC?group=NAME``.

    Other options are librdkafka's own properties, such as ``security.protocol=SASL_SSL``. A new group begins with the
    topic's oldest messages.
    """

    def __init__(self, url: str, *, topic: str, group: str) -> None:
        parts = urlsplit(url)
        login, _, servers = parts.netloc.rpartition("@")
        options = dict(parse_qsl(parts.query))
        self._topic = unquote(parts.path.strip("/")) or topic
        self._subject = f"topic {shown(url)}"
        self._is_dealt = False
        self._unread: set[int] = set()
        """Partitions of ours whose end was not seen."""
        self._fault: KafkaError | None = None
        user, _, password = login.partition(":")
        secrets = {"sasl.mechanism": "PLAIN", "sasl.username": unquote(user), "sasl.password": unquote(password)}
        if not servers:
            raise _no_kafka("it has no host")
        properties: dict[str, Any] = {
            "auto.offset.reset": "earliest",
            **(secrets if login else {}),
            "group.id": options.pop("group", group),
            **options,
            "bootstrap.servers": servers,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "error_cb": self._heard,
        }
        try:
            self._consumer = kafka.Consumer(properties, logger=_LOG)
        except KafkaException as error:
            raise _no_kafka(error.args[0].str()) from None
        self._consumer.subscribe([self._topic], on_assign=self._dealt, on_revoke=self._revoked, on_lost=self._revoked)

    def poll(self, most: int, wait_seconds: float) -> list[Message]:
        start = time.monotonic()
        while True:
            found = [self._message(one) for one in self._consume(most, wait_seconds) if not self._is_sign(one)]
            if found:
                self._fault = None
                return found
            if self._fault is not None:
                self._ask_again()
            waited = time.monotonic() - start
            if self._is_dealt and not self._unread and waited >= wait_seconds:
                return []
            if waited > _JOIN_SECONDS:
                raise UnavailableError(self._subject, "no partition of it can be read now")

    def commit(self, messages: Sequence[Message]) -> None:
        ends: dict[int, int] = {}
        for message in messages:
            ends[message.partition] = max(ends.get(message.partition, 0), int(message.offset) + 1)
        offsets = [TopicPartition(self._topic, partition, end) for partition, end in ends.items()]
        if not offsets:
            return
        try:
            committed = self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            self._refused(error.args[0])
        else:
            for one in committed or ():
                if one.error is not None:
                    self._refused(one.error)

    def close(self) -> None:
        self._consumer.close()

    def _consume(self, most: int, wait_seconds: float) -> list[Any]:
        try:
            given: list[Any] = self._consumer.consume(most, wait_seconds)
        except KafkaException as error:
            raise self._translated(error.args[0]) from error
        return given

    def _is_sign(self, one: Any) -> bool:
        """Whether it is no message: the end of a partition, or a fault, which is raised when it will not mend."""
        error = one.error()
        if error is None:
            self._unread.add(one.partition())
            return False
        if error.code() == KafkaError._PARTITION_EOF:
            self._unread.discard(one.partition())
        else:
            self._heard(error)
        return True

    def _message(self, one: Any) -> Message:
        written_at = max(0, one.timestamp()[1]) * (SECOND // 1000)
        return Message(one.topic(), one.partition(), str(one.offset()), written_at, one.value() or b"")

    def _heard(self, error: KafkaError) -> None:
        """librdkafka tells of brokers that are away, and goes on trying."""
        self._fault = error

    def _ask_again(self) -> None:
        """Whether what was heard still holds: `UnavailableError` then."""
        fault, self._fault = self._fault, None
        if fault is not None and (fault.code() in _NEVER or fault.fatal()):
            raise self._translated(fault)
        try:
            topic = self._consumer.list_topics(self._topic, timeout=_ANSWER_SECONDS).topics[self._topic]
        except KafkaException as error:
            self._fault = fault
            raise self._translated(error.args[0]) from error
        if topic.error is not None:
            self._fault = fault
            raise self._translated(topic.error)

    def _dealt(self, _: Any, partitions: Sequence[Any]) -> None:
        self._is_dealt = True
        self._unread |= {one.partition for one in partitions}

    def _revoked(self, _: Any, partitions: Sequence[Any]) -> None:
        self._unread -= {one.partition for one in partitions}

    def _refused(self, error: KafkaError) -> None:
        """A commit came back. Partitions that were dealt anew are read again from the last one, and rows have ids."""
        if error.code() not in _DEALT_ANEW:
            raise self._translated(error)

    def _translated(self, error: KafkaError) -> UnavailableError | SettingError:
        if error.code() in _NEVER or error.fatal():
            return SettingError(self._subject, f"it refuses us: {error.str()}")
        return UnavailableError(self._subject, f"it cannot be used now: {error.str()}")


def _no_kafka(why: str) -> SettingError:
    return SettingError("consume", f"the URL names no Kafka: {why}", expected="kafka://HOST:PORT/TOPIC?group=NAME")
