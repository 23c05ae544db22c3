"""Consumers: messages that others publish, read from where they are published, until they are known to be kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Message:
    """What was published, and its place there. ``written_at``: UTC microseconds; it tells apart topics of one name."""

    topic: str
    partition: int
    offset: str
    written_at: int
    payload: bytes

    @property
    def id(self) -> str:
        """The same whenever, and to whomever, the message is given."""
        return f"{self.topic}:{self.partition}:{self.offset}:{self.written_at}"


class Consumer(Protocol):
    """Reads one topic in the name of a group. A message that was not committed is given again, to a later consumer.

    A topic need not exist yet. All methods raise `UnavailableError` while the server does not answer, and may be called
    again; `SettingError` when it never will do what is asked.
    """

    def poll(self, most: int, wait_seconds: float) -> list[Message]:
        """Up to ``most`` messages, in each partition's order; none when no more came within ``wait_seconds``."""

    def commit(self, messages: Sequence[Message]) -> None:
        """These, and what came before them in their partitions, are kept: they need not be given again."""

    def close(self) -> None: ...
