"""The online store as a server reads it: it fails fast while the store is away, and recovers by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import StrEnum
from typing import TypeVar

from inseam.kernel.errors import InseamError, UnavailableError
from inseam.ports.online import OnlineStore
from inseam.stages.serve.breaker import Breaker
from inseam.stages.serve.recent import RecentRows, Rows

T = TypeVar("T")
_LOOK_SECONDS = 1.0
"""How long a table that was seen to be there is taken to be there."""


class Notice(StrEnum):
    """What a guard tells whoever counts."""

    READ = "read"
    FAILED = "failed"
    """The store was asked and did not answer."""
    LOST = "lost"
    """The store answered, and a table holds nothing."""
    REFUSED = "refused"
    """The store was not asked: the breaker is open."""
    STALE = "stale"
    """Answered from the rows read lately."""
    OPENED = "opened"
    CLOSED = "closed"


class GuardedStore(OnlineStore):
    """`inseam.ports.online.OnlineStore` around another whose reads end in bounded time.

    A read that fails, or that is not even tried because the ``breaker`` is open, is answered from ``recent`` when that
    has all of it; each of its rows says which boundary it is of, as ever. Otherwise it is an `UnavailableError`. A
    table that has lost its mark has failed too: a server that came back empty would else pass, for longer than a
    second, for one that has never seen any entity. Guards of one store share a breaker; writes are not guarded.
    """

    def __init__(
        self,
        store: OnlineStore,
        *,
        breaker: Breaker | None = None,
        recent: RecentRows | None = None,
        notice: Callable[[Notice, BaseException | None], None] = lambda *_: None,
    ) -> None:
        self._store = store
        self.is_shared = False  # its breaker is this process's
        self._breaker = breaker or Breaker()
        self._recent = recent
        self.notice = notice
        """Called with what happened, and with the fault where there is one."""
        self._seen: dict[str, float] = {}

    @property
    def is_one_state(self) -> bool:
        return self._store.is_one_state

    def read(self, tables: Sequence[str], keys: Sequence[Sequence[bytes]]) -> Rows:
        try:
            found = self._guarded(lambda: self._store.read(tables, keys))
            self._refuse_lost(tables, found)
        except InseamError:
            stale = self._recent.find(tables, keys) if self._recent is not None else None
            if stale is None:
                raise
            self.notice(Notice.STALE, None)
            return stale
        if self._recent is not None:
            self._recent.keep(tables, keys, found)
        self.notice(Notice.READ, None)
        return found

    def mark(self, table: str) -> bytes | None:
        return self._guarded(lambda: self._store.mark(table))

    def write(
        self,
        table: str,
        rows: Sequence[tuple[bytes, bytes | None]],
        mark: bytes | None = None,
        *,
        over: Collection[bytes | None] = (),
    ) -> None:
        self._store.write(table, rows, mark, over=over)

    def count(self, table: str) -> int:
        return self._store.count(table)

    def tables(self) -> Mapping[str, int]:
        return self._store.tables()

    def drop(self, table: str) -> None:
        self._store.drop(table)

    def close(self) -> None:
        self._store.close()

    def _guarded(self, ask: Callable[[], T]) -> T:
        if not self._breaker.may_try():
            self.notice(Notice.REFUSED, None)
            raise UnavailableError("online store", "it failed lately and is not asked again yet", mend="try again soon")
        try:
            answer = ask()
        except BaseException as error:
            has_opened = self._breaker.failed()
            self.notice(Notice.FAILED, error)
            if has_opened:
                self.notice(Notice.OPENED, None)
            raise
        if self._breaker.succeeded():
            self.notice(Notice.CLOSED, None)
        return answer

    def _refuse_lost(self, tables: Sequence[str], found: Rows) -> None:
        now = time.monotonic()
        for table, rows in zip(tables, found, strict=True):
            if None in rows and now - self._seen.get(table, -_LOOK_SECONDS) >= _LOOK_SECONDS:
                if self.mark(table) is None:
                    view = table.partition("@")[0]
                    lost = UnavailableError(
                        f"feature_view:{view}", "it has no online rows", mend=f"inseam materialize {view}"
                    )
                    self.notice(Notice.LOST, lost)
                    raise lost
                self._seen[table] = now
