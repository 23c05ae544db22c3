"""The keys of tiles: which rows of a table are of one entity."""

from __future__ import annotations

import struct
from hashlib import blake2b

from inseam.ir.online_key import MAX_KEY

_HEAD, _CHUNK = b"h", b"c"
_START_BYTES = 8
_LONGEST = MAX_KEY - len(_CHUNK) - _START_BYTES


def head_key(entity: bytes) -> bytes:
    """The key of an entity's head, from its key of `online_key`."""
    return _HEAD + _short(entity)


def chunk_key(entity: bytes, start: int) -> bytes:
    """The key of an entity's chunk: next to its others, in order of time."""
    return _CHUNK + _short(entity) + struct.pack(">Q", start + (1 << 63))


def entity_part(key: bytes) -> bytes:
    """What the keys of an entity's head and chunks have in common, and its materialized row's key with them.

    Stores place rows by it, so that rows of one entity lie together. It is of any bytes, and tells nothing else: some
    key of `online_key` may begin as a chunk's does.
    """
    kind = key[:1]
    if kind == _CHUNK:
        return key[1:-_START_BYTES]
    return key[1:] if kind == _HEAD else key


def _short(entity: bytes) -> bytes:
    # No key of `online_key` begins with a 2 and is as long.
    return entity if len(entity) <= _LONGEST else b"\x02" + blake2b(entity, digest_size=32).digest()
