"""The stream log on LMDB: one file, appended to by all processes of the machine, one transaction at a time."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from inseam.adapters.lmdb.environment import acquire, release
from inseam.kernel.clock import DAY, now
from inseam.ports.stream_log import Fence, Push, StreamRow

_ROWS, _IDS, _AGES, _STATE = "rows", "ids", "ages", "state"
"""Source and sequence -> instant and payload; digest of source and id -> sequence; instant and digest, oldest first;
source -> its last sequence and the least instant of its next row."""
_NUMBER = struct.Struct(">Q")
_PAIR = struct.Struct(">QQ")
_DIGEST_BYTES = 16
_LEAST_FORGOTTEN = 64
_TRIMMED_AT_ONCE = 10_000
"""Appends wait no longer than these take."""


class LmdbStreamLog:
    """`inseam.ports.stream_log.StreamLog` in a directory.

    Sequence and instant are given inside the write transaction, of which the machine has one at a time: so they rise
    together. Ids are kept for ``ids_kept`` microseconds at least: a row that is pushed again after that is a new row.
    ``map_size_bytes`` is where the file's map starts: it grows.
    """

    def __init__(self, path: Path, *, map_size_bytes: int = 1 << 30, ids_kept: int = 7 * DAY) -> None:
        self._environment = acquire(Path(path), map_size_bytes, is_readonly=False)
        self._ids_kept = ids_kept
        self._is_closed = False

    def append(self, source: str, rows: Sequence[Push]) -> list[int]:
        name = source.encode()
        digests = [blake2b(name + b"\0" + row.id, digest_size=_DIGEST_BYTES).digest() for row in rows]

        def put(transaction: Any, handles: list[Any]) -> list[int]:
            into, ids, ages, states = handles
            last, least = _state(transaction, states, name)
            instant = max(now(), least)
            _forget(transaction, ids, ages, instant - self._ids_kept, _LEAST_FORGOTTEN + 2 * len(rows))
            head = _NUMBER.pack(instant)
            given: list[int] = []
            for row, digest in zip(rows, digests, strict=True):
                known = transaction.get(digest, db=ids)
                if known is None:
                    last += 1
                    known = _NUMBER.pack(last)
                    transaction.put(name + b"\0" + known, head + row.payload, db=into)
                    transaction.put(digest, known, db=ids)
                    transaction.put(head + digest, b"", db=ages)
                given.append(_NUMBER.unpack(known)[0])
            transaction.put(name, _PAIR.pack(last, instant), db=states)
            return given

        return self._environment.change((_ROWS, _IDS, _AGES, _STATE), put) if rows else []

    def read(self, source: str, after: int, most: int) -> list[StreamRow]:
        return self._environment.view((_ROWS,), _read, source.encode() + b"\0", after, most) or []

    def fence(self, source: str) -> Fence:
        name = source.encode()

        def cut(transaction: Any, handles: list[Any]) -> Fence:
            last, least = _state(transaction, handles[0], name)
            # A clock that was set back is waited for: nothing later is stamped at `least - 1`, or earlier.
            instant = max(now(), least - 1)
            if instant >= least:
                transaction.put(name, _PAIR.pack(last, instant + 1), db=handles[0])
            return Fence(last, instant)

        return self._environment.change((_STATE,), cut)

    def trim(self, source: str, through: int) -> None:
        prefix = source.encode() + b"\0"

        def cut(transaction: Any, handles: list[Any]) -> bool:
            last = prefix + _NUMBER.pack(through)
            with transaction.cursor(handles[0]) as cursor:
                cursor.set_range(prefix)
                for _ in range(_TRIMMED_AT_ONCE):
                    if not prefix < cursor.key() <= last:  # past the end of the table the key is empty
                        return False
                    cursor.delete()
            return True

        while self._environment.change((_ROWS,), cut):
            pass

    def sources(self) -> tuple[str, ...]:
        return tuple(self._environment.view((_STATE,), _names) or ())

    def wipe(self) -> None:
        """`inseam.ports.wiping.Wiping`."""
        self._environment.wipe()

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            release(self._environment)


def _state(transaction: Any, states: Any, name: bytes) -> tuple[int, int]:
    """The source's last sequence and the least instant that its next row may have."""
    held = transaction.get(name, db=states)
    return (0, 0) if held is None else _PAIR.unpack(held)


def _forget(transaction: Any, ids: Any, ages: Any, before: int, most: int) -> None:
    """Let go of up to ``most`` ids that came before an instant: more than come, so that they never pile up."""
    with transaction.cursor(ages) as cursor:
        cursor.first()
        for _ in range(most):
            age = cursor.key()  # empty past the end of the table
            if not age or _NUMBER.unpack_from(age)[0] >= before:
                return
            transaction.delete(age[_NUMBER.size :], db=ids)
            cursor.delete()


def _read(transaction: Any, handles: list[Any], prefix: bytes, after: int, most: int) -> list[StreamRow]:
    found: list[StreamRow] = []
    if handles[0] is None:
        return found
    with transaction.cursor(handles[0]) as cursor:
        is_there = cursor.set_range(prefix + _NUMBER.pack(after + 1))
        while is_there and len(found) < most:
            key, value = cursor.item()
            if not key.startswith(prefix):
                break
            sequence, instant = _NUMBER.unpack_from(key, len(prefix))[0], _NUMBER.unpack_from(value)[0]
            found.append(StreamRow(sequence, instant, value[_NUMBER.size :]))
            is_there = cursor.next()
    return found


def _names(transaction: Any, handles: list[Any]) -> list[str]:
    if handles[0] is None:
        return []
    return [key.decode() for key in transaction.cursor(handles[0]).iternext(keys=True, values=False)]
