"""Named leases: a row that says who holds the name, kept fresh by a heartbeat for as long as the holder lives."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from inseam.adapters.sql import process
from inseam.adapters.sql.conflict import insert_if_free
from inseam.adapters.sql.database import Database
from inseam.adapters.sql.tables import LEASE
from inseam.kernel.clock import SECOND, format_instant
from inseam.kernel.errors import ConflictError, InseamError
from inseam.ports.ledger import Lease

HEARTBEAT_SECONDS = 5.0
SILENCE_SECONDS = 30.0
"""A holder on another host that has been silent for longer has lost its lease."""


@contextmanager
def lease(database: Database, name: str, wait_seconds: float) -> Iterator[Lease]:
    """Hold ``name`` for the block. `ConflictError` names who holds it, or says at the end that it was lost."""
    token = uuid.uuid4().hex
    _acquire(database, name, token, wait_seconds)
    pid, _ = process.own()
    heart = _Heart(database, name, token)
    heart.start()
    try:
        yield heart
    finally:
        heart.stopped.set()
        # A child that was forked inside the block leaves the lease to its parent.
        is_held = pid != process.own()[0] or _release(database, name, token)
    if not is_held:
        raise _lost(name)


def _lost(name: str) -> ConflictError:
    return ConflictError(
        f"lease {name}",
        f"it was taken over, because this process had been silent for more than {SILENCE_SECONDS:g} seconds",
        mend="run it again: what it did meanwhile may have been done by another process too",
    )


def _acquire(database: Database, name: str, token: str, wait_seconds: float) -> None:
    deadline = time.monotonic() + wait_seconds
    pause = 0.02
    while True:
        holder = database.transact(lambda connection: _take(connection, name, token))
        if holder is None:
            return
        left = deadline - time.monotonic()
        if left <= 0:
            raise ConflictError(
                f"lease {name}",
                f"held by process {holder.pid} on {holder.host} (thread {holder.thread}) "
                f"since {format_instant(holder.acquired_at)}",
                mend="wait for it to finish, or end it",
            )
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, 0.5)


def _take(connection: Connection, name: str, token: str) -> Row[Any] | None:
    """Take the lease if it is free or its holder is gone; otherwise the holder's row."""
    moment = database_time(connection)
    pid, began = process.own()
    row = {
        "name": name,
        "token": token,
        "host": process.host(),
        "machine": process.machine(),
        "pid": pid,
        "process_started": began,
        "thread": threading.current_thread().name,
        "acquired_at": moment,
        "heartbeat_at": moment,
    }
    holder = connection.execute(sa.select(LEASE).where(LEASE.c.name == name).with_for_update()).one_or_none()
    if holder is None:
        # Two may get here at once on PostgreSQL: the second finds the name taken and is told by whom.
        if insert_if_free(connection, LEASE, row):
            return None
        other = connection.execute(sa.select(LEASE).where(LEASE.c.name == name)).one_or_none()
        # It may be given back between the two: nobody holds it then, and least of all we do.
        return other if other is not None else _take(connection, name, token)
    if not _is_gone(holder, moment):
        return holder
    connection.execute(sa.update(LEASE).where(LEASE.c.name == name).values(row))
    return None


def _is_gone(holder: Row[Any], moment: int) -> bool:
    if holder.machine == process.machine():
        began: str = holder.process_started
        return process.started(holder.pid) != began
    silent_for: int = moment - holder.heartbeat_at
    return silent_for > SILENCE_SECONDS * SECOND


def _release(database: Database, name: str, token: str) -> bool:
    """False when somebody else had taken the lease over."""
    mine = (LEASE.c.name == name) & (LEASE.c.token == token)
    return database.transact(lambda connection: connection.execute(sa.delete(LEASE).where(mine)).rowcount) == 1


def database_time(connection: Connection) -> int:
    """The instant by which heartbeats are judged: the server's, as hosts' clocks differ; never a test's frozen one."""
    if connection.dialect.name == "sqlite":
        return time.time_ns() // 1_000
    seconds = sa.func.extract("epoch", sa.func.clock_timestamp())
    return int(connection.execute(sa.select(sa.cast(seconds * SECOND, sa.BigInteger))).scalar_one())


@dataclass
class _Heart(Lease):
    """Renews one lease until told to stop. A database that cannot be reached for a moment is tried again."""

    database: Database
    name: str
    token: str

    def __post_init__(self) -> None:
        self.stopped = threading.Event()
        self._renewed_at = time.monotonic()

    def start(self) -> None:
        threading.Thread(target=self._beat, name=f"lease {self.name}", daemon=True).start()

    def _beat(self) -> None:
        while not self.stopped.wait(HEARTBEAT_SECONDS):
            with suppress(InseamError, sa.exc.SQLAlchemyError):
                self.database.transact(self._renew)

    def check(self) -> None:
        if time.monotonic() - self._renewed_at > SILENCE_SECONDS / 2 and not self.database.transact(self._renew):
            raise _lost(self.name)

    def _renew(self, connection: Connection) -> bool:
        """False when somebody else has it."""
        asked_at = time.monotonic()
        mine = (LEASE.c.name == self.name) & (LEASE.c.token == self.token)
        renewal = sa.update(LEASE).where(mine).values(heartbeat_at=database_time(connection))
        is_mine = connection.execute(renewal).rowcount == 1
        if is_mine:
            self._renewed_at = asked_at
        return is_mine
