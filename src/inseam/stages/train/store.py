"""Writes a bundle so that it is either whole under its digest or not there."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inseam.ports.bundle import digest

_STALE_SECONDS = 24 * 3600.0


@contextmanager
def draft(models: Path, model: str) -> Iterator[Path]:
    """A directory to write a bundle into, beside its future place; gone when the block ends without `publish`."""
    home = models / model
    home.mkdir(parents=True, exist_ok=True)
    _sweep(home)
    place = home / f".draft-{uuid.uuid4().hex}"
    place.mkdir()
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def publish(place: Path) -> str:
    """Move a finished draft to the name of its digest, durably, and return the digest.

    The same bundle made twice is one directory; one whose bytes were damaged since is replaced.
    """
    found = digest(place)
    target = place.parent / found
    for path in (*place.rglob("*"), place):
        _sync(path)
    if target.is_dir() and digest(target) != found:
        target.rename(place.parent / f".draft-damaged-{uuid.uuid4().hex}")
    try:
        place.rename(target)
    except OSError:
        # Another trainer was faster with the same bytes, or it was there: either way it is whole.
        if not target.is_dir():
            raise
    _sync(place.parent)
    return found


def size(directory: Path) -> int:
    """Bytes of all files of a bundle."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def _sweep(home: Path) -> None:
    """Remove what killed trainers left behind."""
    for left in home.glob(".draft-*"):
        if time.time() - left.stat().st_mtime > _STALE_SECONDS:
            shutil.rmtree(left, ignore_errors=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
