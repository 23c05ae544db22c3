"""The online store on Redis or a Redis Cluster: read by a fleet of servers while materializations write."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from inseam.adapters.redis.address import Address
from inseam.adapters.redis.eviction import INFO, refuse_eviction
from inseam.adapters.redis.fault import FAULTS, refuse_errors, translated
from inseam.adapters.redis.layout import BUCKET_SLOTS, Layout, Read, Watched, both, bucket, command, read_tail
from inseam.adapters.redis.server import Server, find_server
from inseam.kernel.errors import SettingError
from inseam.ports.online import OnlineStore, is_free
from inseam.ports.server_url import UrlOptions

_CHUNK_BYTES = 4 << 20
"""The most that is sent before its replies are read where it may be done in parts, a command more or less."""
_READ_SECONDS, _WRITE_SECONDS = 0.25, 30.0
_CONNECTIONS = 8
_CACHE_BYTES = 32_000_000
Addressed = tuple[bytes, int]
"""A packed command and the slot of its key."""


class RedisStore(OnlineStore):
    """`inseam.ports.online.OnlineStore` at a URL; ``namespace`` keeps apart those who share a server.

    A read is one round trip (to each node concerned of a cluster), or none: one server's rows that were read lately are
    remembered until it says that they changed (`inseam.adapters.redis.tracked`). On one server a read sees one state,
    and a batch is written in whole, mark included, or not at all. On a cluster that holds for
    the rows of a table's bucket, in which an entity's lie together: a reader may see some entities of a batch that is
    being written and not others; the mark is written when the nodes have all of them.
    The URL may say ``timeout`` (of a read, 250ms), ``ttl`` (none), ``connections`` (the most to one node, 8) and
    ``cache`` (what remembered rows may take, 32MB; 0: none are) beside the options of redis-py. With a ttl a table
    vanishes, whole and with its mark, that long after the last write to it. A table that expired row by row would
    answer "never seen" for entities that were.
    """

    is_shared = True

    def __init__(self, url: str | Path, *, namespace: str = "") -> None:
        self._given = str(url), namespace
        options = UrlOptions(url, ("timeout", "ttl", "connections", "cache"))
        self._address = Address.parse(options.url)
        self._layout = Layout(namespace)
        self._read_seconds = options.seconds("timeout") or _READ_SECONDS
        self._write_seconds = max(self._read_seconds, _WRITE_SECONDS)
        self._ttl_seconds = options.seconds("ttl")
        self._connections = options.number("connections") or _CONNECTIONS
        cache_bytes = options.size("cache")
        self._cache_bytes = _CACHE_BYTES if cache_bytes is None else cache_bytes
        self._server: Server | None = None
        self._lock = threading.Lock()
        self._is_checked = False
        self._is_closed = False

    def __reduce__(self) -> tuple[Any, ...]:
        url, namespace = self._given
        return partial(RedisStore, namespace=namespace), (url,)

    def __repr__(self) -> str:
        return f"RedisStore({self._address.name!r})"

    @property
    def is_one_state(self) -> bool:
        """Whether it is one server: which it is asked once, at the first use of the store."""
        server = self._server
        if server is not None:
            return server.is_one_state
        return self._ask(lambda server, _: [server.is_one_state], self._write_seconds)[0] is True

    def read(self, tables: Sequence[str], keys: Sequence[Sequence[bytes]]) -> list[list[bytes | None]]:
        reads: list[Read] = []
        slots: list[int] = []
        tails: dict[int, list[tuple[int, bytes]]] = {}
        for table, asked in zip(tables, keys, strict=True):
            found = tails.get(id(asked))
            if found is None:  # views of the same entities are asked for the same list
                found = tails[id(asked)] = [(bucket(key), read_tail(key)) for key in asked]
            heads = self._layout.heads(table)
            reads += [(heads[number], tail) for number, tail in found]
            slots += [BUCKET_SLOTS[number] for number, _ in found]
        replies = self._read(reads, slots) if reads else []
        rows = []
        start = 0
        for asked in keys:
            end = start + len(asked)
            rows.append(replies[start:end])
            start = end
        return rows

    def write(
        self,
        table: str,
        rows: Sequence[tuple[bytes, bytes | None]],
        mark: bytes | None = None,
        *,
        over: Collection[bytes | None] = (),
    ) -> None:
        self._refuse_eviction()
        layout = self._layout
        key, slot = layout.mark(table)
        listing = (command(b"SADD", layout.tables, table.encode()), layout.tables_slot)
        _, left_ms = self._change([listing, (command(b"PTTL", key), slot)])
        commands = self._row_commands(table, rows)
        end = () if self._ttl_seconds is None else (b"%d" % ((time.time() + self._ttl_seconds) * 1000),)
        if end or left_ms > 0:  # all end at one instant, or none does, whatever was said before
            act = b"PEXPIREAT" if end else b"PERSIST"
            commands = chain(commands, self._each_bucket(table, act, after=end), [(command(act, key, *end), slot)])
        watched = Watched(key, slot, partial(is_free, table, mark, over)) if over else None
        last = [] if mark is None else [(command(b"SET", key, mark, *((b"PXAT", *end) if end else ())), slot)]
        if self.is_one_state:
            self._transact([*commands, *last], watched)
        else:
            self._change(commands, watched)
            self._change(last, watched)  # its node may be ahead of those of the rows

    def mark(self, table: str) -> bytes | None:
        key, slot = self._layout.mark(table)
        found: bytes | None = self._exchange([command(b"GET", key)], [slot], self._read_seconds)[0]
        return found

    def count(self, table: str) -> int:
        return sum(self._change(self._each_bucket(table, b"HLEN")))

    def tables(self) -> Mapping[str, int]:
        layout = self._layout
        (names,) = self._change([(command(b"SMEMBERS", layout.tables), layout.tables_slot)])
        sizes = {name.decode(): self._bytes(name.decode()) for name in sorted(names)}
        return {name: size for name, size in sizes.items() if size}

    def drop(self, table: str) -> None:
        key, slot = self._layout.mark(table)
        self._change([(command(b"UNLINK", key), slot)])
        self._change(self._each_bucket(table, b"UNLINK"))
        self._change([(command(b"SREM", self._layout.tables, table.encode()), self._layout.tables_slot)])

    def close(self) -> None:
        self._is_closed = True
        server, self._server = self._server, None
        if server is not None:
            server.close()

    def _row_commands(self, table: str, rows: Sequence[tuple[bytes, bytes | None]]) -> Iterator[Addressed]:
        put: dict[int, list[bytes]] = {}
        gone: dict[int, list[bytes]] = {}
        for key, row in rows:
            number = bucket(key)
            if row is None:
                gone.setdefault(number, []).append(key)
            else:
                put.setdefault(number, []).extend((key, row))
        for number in put.keys() | gone.keys():
            place, slot = self._layout.bucket(table, number), BUCKET_SLOTS[number]
            acts = ((b"HSET", put.get(number)), (b"HDEL", gone.get(number)))
            commands = [command(act, place, *words) for act, words in acts if words]
            if len(commands) == 2 and not self.is_one_state:
                commands = [both(*commands)]
            yield from ((text, slot) for text in commands)

    def _bytes(self, table: str) -> int:
        key, slot = self._layout.mark(table)
        usage = [*self._each_bucket(table, b"MEMORY", b"USAGE"), (command(b"MEMORY", b"USAGE", key), slot)]
        return sum(size or 0 for size in self._change(usage))

    def _each_bucket(self, table: str, *words: bytes, after: Sequence[bytes] = ()) -> Iterator[Addressed]:
        """A command on each bucket of a table, which stands between the words and what comes ``after``."""
        for number, slot in enumerate(BUCKET_SLOTS):
            yield command(*words, self._layout.bucket(table, number), *after), slot

    def _change(self, commands: Iterable[Addressed], watched: Watched | None = None) -> list[Any]:
        """Their replies, sent a chunk at a time."""
        replies: list[Any] = []
        packed: list[bytes] = []
        slots: list[int] = []
        size = 0
        for text, slot in commands:
            packed.append(text)
            slots.append(slot)
            size += len(text)
            if size >= _CHUNK_BYTES:
                replies += self._exchange(packed, slots, self._write_seconds, watched)
                packed, slots, size = [], [], 0
        if packed:
            replies += self._exchange(packed, slots, self._write_seconds, watched)
        return replies

    def _transact(self, commands: Sequence[Addressed], watched: Watched | None) -> None:
        """All of them in one piece, however long: a step of tiles that was written in part cannot be done again."""
        if commands:
            self._exchange([text for text, _ in commands], [slot for _, slot in commands], self._write_seconds, watched)

    def _read(self, reads: Sequence[Read], slots: Sequence[int]) -> list[Any]:
        replies = self._ask(lambda server, deadline: server.read(reads, slots, deadline), self._read_seconds)
        refuse_errors(replies, self._address.name)
        return replies

    def _exchange(
        self, commands: Sequence[bytes], slots: Sequence[int], seconds: float, watched: Watched | None = None
    ) -> list[Any]:
        replies = self._ask(lambda server, deadline: server.exchange(commands, slots, deadline, watched), seconds)
        refuse_errors(replies, self._address.name)
        return replies

    def _ask(self, request: Callable[[Server, float], list[Any]], seconds: float) -> list[Any]:
        deadline = time.monotonic() + seconds
        try:
            return request(self._server or self._find(deadline), deadline)
        except FAULTS as error:
            raise translated(error, self._address.name) from error

    def _find(self, deadline: float) -> Server:
        with self._lock:
            if self._is_closed:
                raise SettingError(f"online store {self._address.name}", "it was closed")
            if self._server is None:
                self._server = find_server(self._address, self._connections, self._cache_bytes, deadline)
            return self._server

    def _refuse_eviction(self) -> None:
        """Once: an evicted row reads as that of an entity that was never seen."""
        if not self._is_checked:
            replies = self._ask(lambda server, deadline: server.everywhere(INFO, deadline), self._write_seconds)
            refuse_eviction(replies, self._address.name, has_ttl=self._ttl_seconds is not None)
            self._is_checked = True
