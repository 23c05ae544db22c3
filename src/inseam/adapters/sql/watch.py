"""Tells a poller cheaply whether anything may have been written since it last asked."""

from __future__ import annotations

import threading
import zlib

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from inseam.adapters.sql.database import Database
from inseam.adapters.sql.fork import GUARD


class Watch:
    """SQLite counts, for each connection, the commits of others: so this one connection is kept and never writes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: Connection | None = None
        self._opened = 0
        self._lock = threading.Lock()
        GUARD.open_databases.add(self)

    def state(self) -> int:
        if not self._database.is_sqlite:
            snapshot = sa.select(sa.cast(sa.func.pg_current_snapshot(), sa.String))
            return zlib.crc32(self._database.read(lambda c: str(c.execute(snapshot).scalar_one())).encode())
        with GUARD, self._lock:
            if self._kept is None:
                self._kept = self._database.engine.connect()
                self._opened += 1
            driver = self._kept.connection.driver_connection
            assert driver is not None
            (version,) = driver.execute("PRAGMA data_version").fetchone()
            # A connection's count begins anew, so the number of connections so far is the upper half.
            return self._opened << 32 | int(version)

    def close(self) -> None:
        with self._lock:
            if self._kept is not None:
                self._kept.close()
                self._kept = None
