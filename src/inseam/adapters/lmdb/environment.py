"""One LMDB environment a process and path: opened when first needed, shared, reopened after a fork, grown when full."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any, TypeVar

import lmdb

from inseam.kernel.errors import RefusedError, SettingError

T = TypeVar("T")
Work = Callable[..., T]
"""From a transaction, the handles of tables, and what else it is given; a handle is None where a read found no such
table."""

_WASTE = "#waste"
"""The table that takes the free pages: no view and no part of a log is called so."""
_WIPED_AT_ONCE = 2_048
"""The most pages of one transaction."""
_MAX_TABLES = 512
_MAX_READERS = 1024
_NOTHING = repeat(None)
_MAX_ATTEMPTS = 40
"""Enough to double a map from a page to a terabyte."""


class Environment:
    """Transactions on the tables (named databases) of one directory.

    One lock serialises this process's transactions. They take microseconds and hold the interpreter anyway; in return
    the environment can be closed whenever that is the mend: before a fork, when the map must grow, when another process
    destroyed a table whose handle is cached. LMDB allows that only while no transaction is open, and handles of a
    transaction that failed are void.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.holders = 0
        self.map_size_bytes = 0
        self.is_writable = False
        self.lock = threading.Lock()
        self._open: Any = None
        self._handles: dict[str, Any] = {}
        self._known: dict[tuple[str, ...], list[Any]] = {}
        """The handles of tables that were read together, all there."""

    def view(self, tables: Sequence[str], work: Work[T], *given: Any) -> T | None:
        """``work`` in one read transaction; None, and no work, while nothing was ever written here."""
        with self.lock:
            try:  # what is open and known already costs the fewest steps
                with self._open.begin() as transaction:
                    return work(transaction, list(map(self._handles.__getitem__, tables)), *given)
            except (AttributeError, KeyError, lmdb.Error):
                return self._retry(lambda: self._view(tables, work, given))

    def one(self, tables: tuple[str, ...], keys: Sequence[bytes]) -> list[bytes | None]:
        """The value of one key of each table, in one read transaction and the fewest steps."""
        with self.lock:
            try:  # the transaction ends with the last reference to it, cheaper than by a block of its own
                return list(map(self._open.begin().get, keys, _NOTHING, self._known[tables]))
            except (AttributeError, KeyError, lmdb.Error):
                found = self._retry(lambda: self._view(tables, _get_one, (keys,)))
            if found is None:
                return [None] * len(tables)
            handles = list(map(self._handles.get, tables))
            if None not in handles:
                self._known[tables] = handles
            return found

    def change(self, tables: Sequence[str], work: Work[T]) -> T:
        """``work`` in one durable write transaction, which makes tables that are missing; a full map is doubled."""
        with self.lock:
            if not self.is_writable:
                raise RefusedError(str(self.path), "this store was opened for reading only")
            return self._retry(lambda: self._change(tables, work))

    def _retry(self, attempt: Callable[[], T]) -> T:
        for _ in range(_MAX_ATTEMPTS):
            try:
                return attempt()
            except lmdb.MapFullError as error:
                self.map_size_bytes = 2 * self._open.info()["map_size"]
                fault: lmdb.Error = error
            except (lmdb.MapResizedError, lmdb.BadDbiError) as error:  # another process grew it, destroyed a table
                fault = error
            except lmdb.ReadersFullError as error:
                if not self._open.reader_check():
                    raise self._fault("used", error) from error
                fault = error
            except lmdb.Error as error:
                raise self._fault("used", error) from error
            self.close()
        raise self._fault("used", fault) from fault

    def wipe(self) -> None:
        """Overwrite what rows that are gone have left: tables are written anew, and then every page that is free.

        LMDB takes the buffers of earlier transactions for new pages, with what is in them, so that any page of any
        table may hold anything. Those of this process are let go first; another that writes has its own.
        """
        with self.lock:
            self.close()
        tables = self.view((), table_names)
        if not tables:
            return
        for table in tables:
            if table != _WASTE:
                self.change((table, _WASTE), _write_anew)
        pages: list[int] = []

        def fill(transaction: Any, handles: list[Any]) -> int:
            size, last = transaction.stat(handles[0])["psize"], self._open.info()["last_pgno"]
            for number in range(min(64 << len(pages), _WIPED_AT_ONCE)):
                # A value that fills a page of its own, but for the page's head and the value's.
                transaction.put(b"%d.%d" % (len(pages), number), bytes(size - 24), db=handles[0])
            return int(last)

        # The file grows when no page is free. What the last transaction freed is so for the next but one.
        while len(pages) < 3 or pages[-1] == pages[1]:
            pages.append(self.change((_WASTE,), fill))
        self.change((_WASTE,), lambda transaction, handles: transaction.drop(handles[0]))
        self.forget(_WASTE)

    def forget(self, table: str) -> None:
        """Drop the cached handle of a table that was destroyed."""
        with self.lock:
            self._handles.pop(table, None)
            self._known = {}

    def close(self) -> None:
        """Close until the next use. The caller holds the lock."""
        if self._open is not None:
            self._open.close()
        self._open = None
        self._handles = {}
        self._known = {}

    def _view(self, tables: Sequence[str], work: Work[T], given: tuple[Any, ...]) -> T | None:
        opened = self._open or self._reopen()
        if opened is None:
            return None
        try:
            handles = list(map(self._handles.__getitem__, tables))
        except KeyError:
            handles = [self._find(opened, table) for table in tables]
        with opened.begin() as transaction:
            return work(transaction, handles, *given)

    def _find(self, opened: Any, table: str) -> Any:
        """A table's handle. LMDB forgets one that was opened in a borrowed read transaction, so it gets its own."""
        if table not in self._handles:
            with opened.begin() as transaction:
                if transaction.get(table.encode()) is None:
                    return None
            try:
                self._handles[table] = opened.open_db(table.encode(), create=False)
            except lmdb.NotFoundError:  # destroyed in between
                return None
        return self._handles[table]

    def _change(self, tables: Sequence[str], work: Work[T]) -> T:
        opened = self._open or self._reopen()
        opened.reader_check()  # readers that were killed would pin old pages for ever
        handles = dict(self._handles)
        with opened.begin(write=True) as transaction:
            for table in tables:
                if table not in handles:
                    handles[table] = opened.open_db(table.encode(), txn=transaction)
                elif transaction.get(table.encode()) is None:
                    raise lmdb.BadDbiError(table)
            result = work(transaction, [handles[table] for table in tables])
        self._handles = handles
        return result

    def _reopen(self) -> Any:
        """Open the directory; None when it is to be read and holds nothing yet."""
        data = self.path / "data.mdb"
        if not self.holders:
            raise SettingError(str(self.path), "this store was closed")
        try:
            if self.is_writable:
                self.path.mkdir(parents=True, exist_ok=True)
            elif not data.exists() or data.stat().st_size == 0:
                return None
            self._open = lmdb.open(
                str(self.path),
                map_size=self.map_size_bytes if self.is_writable else 0,
                max_dbs=_MAX_TABLES,
                max_readers=_MAX_READERS,
                readonly=not self.is_writable,
                create=self.is_writable,
            )
        except (lmdb.Error, OSError) as error:
            raise self._fault("opened", error) from error
        return self._open

    def _fault(self, act: str, error: Exception) -> SettingError:
        return SettingError(str(self.path), f"the store cannot be {act}: {error}")


def table_names(transaction: Any, _: list[Any]) -> list[str]:
    """Every table of the environment."""
    return [key.decode() for key in transaction.cursor().iternext(keys=True, values=False)]


def _get_one(transaction: Any, handles: list[Any], keys: Sequence[bytes]) -> list[bytes | None]:
    get = transaction.get
    # Without a handle LMDB would look in its own table of tables.
    return [None if handle is None else get(key, db=handle) for key, handle in zip(keys, handles, strict=True)]


def _write_anew(transaction: Any, handles: list[Any]) -> None:
    """A table's rows in fresh pages: a page keeps the bytes of a row that was taken out, branches keep keys."""
    for source, target in (handles, handles[::-1]):
        transaction.cursor(target).putmulti(iter(transaction.cursor(source)), append=True)
        transaction.drop(source, delete=False)


_registry: dict[Path, Environment] = {}
_registry_lock = threading.Lock()


def acquire(path: Path, map_size_bytes: int, *, is_readonly: bool) -> Environment:
    """The environment of a directory: LMDB forbids to open one twice in a process. Give it back by `release`."""
    path = path.resolve()
    with _registry_lock:
        environment = _registry.setdefault(path, Environment(path))
        environment.holders += 1
        with environment.lock:
            environment.map_size_bytes = max(environment.map_size_bytes, map_size_bytes)
            if not is_readonly and not environment.is_writable:
                environment.close()
                environment.is_writable = True
    return environment


def release(environment: Environment) -> None:
    with _registry_lock:
        environment.holders -= 1
        if environment.holders == 0:
            with environment.lock:
                environment.close()
            _registry.pop(environment.path, None)


def _before_fork() -> None:
    """A child that inherits an open environment would free its parent's reader slots: both sides open anew."""
    _registry_lock.acquire()
    for environment in _registry.values():
        environment.lock.acquire()
        environment.close()


def _after_fork() -> None:
    for environment in _registry.values():
        environment.lock.release()
    _registry_lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
