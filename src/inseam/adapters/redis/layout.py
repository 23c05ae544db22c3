"""Which keys of Redis hold what.

    PREFIX:{0042}:TABLE    hash   one of a table's buckets: an entity's key -> its row
    PREFIX:mark:TABLE      text   the table's mark
    PREFIX:tables          set    names of the tables

A table is cut into `BUCKETS` hashes by its keys. So a cluster spreads it over all nodes, while one entity's rows of
all tables share a slot (the hash tag is the bucket's number alone); a table is counted, sized, expired and dropped by
its buckets, in a number of steps that does not grow with its rows; and a row costs a hash's field, half of a key.
An entity's tiles share a bucket (`inseam.ir.tile_key`), which is as much as a cluster reads and writes in one state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote
from zlib import crc32

import hiredis
from redis.crc import key_slot

from inseam.ir.tile_key import entity_part

BUCKETS = 1024
"""Part of the layout: a store that was written with another number cannot be read."""


def bucket(key: bytes) -> int:
    return crc32(entity_part(key)) & (BUCKETS - 1)


BUCKET_SLOTS = tuple(key_slot(b"%04d" % number) for number in range(BUCKETS))
"""The cluster's slot of each bucket."""


def command(*words: bytes) -> bytes:
    packed: bytes = hiredis.pack_command(words)
    return packed


MULTI, EXEC = command(b"MULTI"), command(b"EXEC")


def both(first: bytes, second: bytes) -> bytes:
    """Two commands about one bucket that are one transaction."""
    return MULTI + first + second + EXEC


def reply_count(text: bytes) -> int:
    """How many replies a command has, or `both`, of which the last is what it came to."""
    return 4 if text.startswith(MULTI) else 1


class Watched(NamedTuple):
    """A key, and whether what it holds lets commands be sent: they are none then that another's change came before."""

    key: bytes
    slot: int
    may_go_on: Callable[[bytes | None], bool]
    """Or raises."""


Read = tuple[bytes, bytes]
"""The command that reads one row, cut in two: its head names the bucket and its tail the entity's key."""


def read_head(bucket: bytes) -> bytes:
    """What ``HGET bucket key`` begins with on the wire, up to the length of the key."""
    return command(b"HGET", bucket, b"")[: -len(b"0\r\n\r\n")]


def read_tail(key: bytes) -> bytes:
    return b"%d\r\n%b\r\n" % (len(key), key)


def read_many(head: bytes, tails: Sequence[bytes]) -> bytes:
    """The command that reads several rows of one bucket in one state (``HMGET``)."""
    keys = b"".join([b"$" + tail for tail in tails])
    return b"*%d\r\n$5\r\nHMGET\r\n" % (2 + len(tails)) + _bucket_of(head) + keys


def life(head: bytes) -> bytes:
    """The command that asks how long the bucket of a read has to live (``PTTL``)."""
    return b"*2\r\n$4\r\nPTTL\r\n" + _bucket_of(head)


def _bucket_of(head: bytes) -> bytes:
    return head[len(b"*3\r\n$4\r\nHGET\r\n") : -len(b"$")]


class Layout:
    """The keys of one project's environment, which is the ``namespace``."""

    def __init__(self, namespace: str) -> None:
        self.prefix = f"inseam:{quote(namespace, safe=':')}".encode()
        self.tables = self.prefix + b":tables"
        self.tables_slot = key_slot(self.tables)
        self.heads = lru_cache(maxsize=512)(self._heads)

    def bucket(self, table: str, number: int) -> bytes:
        return b"%b:{%04d}:%b" % (self.prefix, number, table.encode())

    def mark(self, table: str) -> tuple[bytes, int]:
        """The mark's key and its slot."""
        key = b"%b:mark:%b" % (self.prefix, table.encode())
        return key, key_slot(key)

    def _heads(self, table: str) -> tuple[bytes, ...]:
        """Those of the reads of a table, by bucket."""
        return tuple(read_head(self.bucket(table, number)) for number in range(BUCKETS))
