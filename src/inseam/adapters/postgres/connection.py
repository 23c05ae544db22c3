"""A connection to PostgreSQL whose every wait ends by a deadline, and whose faults are told in our words."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import errors, waiting

from inseam.kernel.errors import InseamError, SettingError, UnavailableError

_SESSION = """
    SET plan_cache_mode = force_generic_plan;
    SET enable_seqscan = off
"""
"""A look-up is planned once, by the index, also while its table is small."""
_DENIED = ("28", "42501")
_AGAIN = ("40001", "40P01")


class Connection(psycopg.Connection[Any]):  # type: ignore[misc]
    """psycopg bounds the wait for a connection at no less than two seconds, and that for an answer not at all."""

    deadline = 0.0
    """An instant of `time.monotonic`, set by whoever borrows the connection."""

    @classmethod
    def open(cls, url: str, deadline: float) -> Connection:
        connection: Connection = waiting.wait_conn(cls._connect_gen(url), interval=0.1, timeout=_left(deadline))
        connection.deadline = deadline
        connection.autocommit = True
        connection.prepare_threshold = None  # who calls says what is worth preparing
        connection.execute(_SESSION)
        return connection

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        return super().wait(gen, interval, _left(self.deadline) if timeout is None else timeout)


def is_lost(error: psycopg.Error) -> bool:
    """The connection broke, or could not be made; it was not too slow."""
    return isinstance(error, psycopg.OperationalError) and not isinstance(error, errors._WaitTimeout)


def is_lost_race(error: psycopg.Error) -> bool:
    """Rolled back in favour of another transaction: it can be run again."""
    return error.sqlstate in _AGAIN


def is_missing(error: psycopg.Error) -> bool:
    """A table or the schema is not there."""
    return isinstance(error, errors.UndefinedTable | errors.InvalidSchemaName)


@contextmanager
def faults(name: str) -> Iterator[None]:
    """psycopg's errors as ours; ``name`` shows the server, without secrets."""
    try:
        yield
    except (psycopg.Error, TimeoutError) as error:
        raise _translated(error, name) from error


def _translated(error: Exception, name: str) -> InseamError:
    text = str(error).strip().partition("\n")[0] or type(error).__name__
    subject = f"online store {name}"
    state = getattr(error, "sqlstate", None) or ""
    if isinstance(error, TimeoutError | errors._WaitTimeout):
        return UnavailableError(subject, f"it did not answer in time: {text}")
    if state.startswith(_DENIED) or "password" in text or "authentication failed" in text:
        return SettingError(subject, f"it refuses us: {text}", mend="set the user and password in INSEAM_ONLINE_URL")
    if isinstance(error, psycopg.OperationalError) or not state:
        return UnavailableError(subject, f"it cannot be used now: {text}")
    return SettingError(subject, f"it cannot do what an online store must: {text}")


def _left(deadline: float) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("the deadline has passed")
    return seconds
