"""The stream log: pushed rows, durable before they are acknowledged, in one order, until they are in their table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Push:
    """A row on its way in. ``id`` is the client's own name for it: a second row of the same id is the first again."""

    id: bytes
    payload: bytes


@dataclass(frozen=True, slots=True)
class StreamRow:
    """A row that the log holds. Both numbers rise from row to row: ``sequence`` always, ``ingested_at`` or stays."""

    sequence: int
    ingested_at: int
    """UTC microseconds: when the log took it in, the row's ``_ingested_at`` for ever."""
    payload: bytes


@dataclass(frozen=True, slots=True)
class Fence:
    """A cut through time: whatever is stamped at or before ``instant`` has a sequence up to ``sequence``, readable."""

    sequence: int
    instant: int


class StreamLog(Protocol):
    """One log a source. Many processes append, read and trim at once."""

    def append(self, source: str, rows: Sequence[Push]) -> list[int]:
        """Put rows in one durable transaction and give each one's sequence; a known id gives that of its first row."""

    def read(self, source: str, after: int, most: int) -> list[StreamRow]:
        """Up to ``most`` rows with sequences greater than ``after``, in order."""

    def fence(self, source: str) -> Fence:
        """The present as a cut: no later append is stamped at or before its instant."""

    def trim(self, source: str, through: int) -> None:
        """Let go of rows up to a sequence; their ids stay known as long as ids are kept."""

    def sources(self) -> tuple[str, ...]:
        """The sources that have a log."""

    def close(self) -> None: ...
