"""A segment: an append-only file of frames, each with its length and checksum. A torn tail is dropped, never misread.

``<id>.open`` is being written by the living process that holds its lock; ``<id>.seg`` is complete and never changes.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import uuid_utils

from inseam.stages.serve.record import Entry

MAGIC = b"inseam1\n"
OPEN, SEALED, _NEW = ".open", ".seg", ".new"
_HEAD = struct.Struct("<II")
_MOST = 1 << 30
_ABANDONED_SECONDS = 60
_decoder = msgspec.msgpack.Decoder(list[Entry])


def frame(entries: list[Entry], encoder: msgspec.msgpack.Encoder) -> bytes:
    payload = encoder.encode(entries)
    return _HEAD.pack(len(payload), zlib.crc32(payload)) + payload


def create(directory: Path) -> tuple[Path, int]:
    """A new open segment and its locked file descriptor. The lock is taken before the name can be seen."""
    stem = directory / str(uuid_utils.uuid7())
    hidden, path = stem.with_suffix(_NEW), stem.with_suffix(OPEN)
    descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        write_all(descriptor, MAGIC, at=0)
        hidden.rename(path)
    except OSError:
        os.close(descriptor)
        hidden.unlink(missing_ok=True)
        raise
    return path, descriptor


def seal(path: Path) -> Path:
    """Mark a segment as complete; its writer must not write again."""
    sealed = path.with_suffix(SEALED)
    path.rename(sealed)
    return sealed


def seal_orphans(directory: Path) -> int:
    """Seal the open segments whose writers have died (their locks are free); how many there were."""
    sealed = 0
    for path in directory.glob(f"*{_NEW}"):
        # Left by a writer that died before its first record: nothing was ever in it.
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                path.unlink()
    for path in sorted(directory.glob(f"*{OPEN}")):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            seal(path)
            sealed += 1
        except (BlockingIOError, FileNotFoundError):
            continue
        finally:
            os.close(descriptor)
    return sealed


def read(path: Path) -> Iterator[list[Entry]]:
    """The frames that were written whole, in order. What follows a torn or damaged frame was never acknowledged."""
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            return
        while True:
            head = file.read(_HEAD.size)
            if len(head) < _HEAD.size:
                return
            length, checksum = _HEAD.unpack(head)
            payload = file.read(length) if length <= _MOST else b""
            if len(payload) < length or zlib.crc32(payload) != checksum:
                return
            yield _decoder.decode(payload)


def write_all(descriptor: int, data: bytes, *, at: int) -> None:
    """Append ``data``; on failure (a full disk) cut the file back to ``at``: no torn frame lies in its middle."""
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError:
        os.ftruncate(descriptor, at)
        raise
