"""The book of what happened. One table a kind of record; every write is a transaction."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

R = TypeVar("R")


class Lease(Protocol):
    """A name that is held."""

    def check(self) -> None:
        """`ConflictError` when another process has taken it over: this one had been silent, asleep or cut off.

        `UnavailableError` when that cannot be known for now. Cheap while the heartbeat goes.
        """


class Ledger(Protocol):
    """Records are the dataclasses of `inseam.ir.records`, identified by their ``KEY`` fields."""

    def insert(self, *records: Any) -> None:
        """All or none; `ConflictError` when a key is already there."""

    def put(self, *records: Any) -> None:
        """Insert or replace, all or none."""

    def swap(self, expected: R | None, record: R, *also: Any) -> bool:
        """Write ``record`` (and put ``also``, in one transaction) only if its key still holds ``expected``.

        None: only if the key is free. False, and nothing written, when somebody was faster.
        """

    def get(self, kind: type[R], *key: Any) -> R | None:
        """The record with this primary key."""

    def select(self, kind: type[R], **equal: Any) -> list[R]:
        """Records whose fields equal these values, in the order in which they were first written."""

    def delete(self, *records: Any) -> None:
        """Forget these records; one that is not there is no error."""

    def lease(self, name: str, *, wait_seconds: float = 0.0) -> AbstractContextManager[Lease]:
        """Hold a named lease for a block; `ConflictError` says who holds it (process, host, since when).

        A holder that died loses it: at once when it was on this host, else when its heartbeat has been silent for
        30 seconds. Who holds it for long asks it now and then whether that is so.
        """
