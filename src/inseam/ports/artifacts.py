"""What was made and never changes, models and training sets: files under names, on this disk or in an object store.

A store holds them under the very names that a disk does, so either can be copied to the other.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from inseam.kernel.errors import NotFoundError, UnsafeArtifactError
from inseam.ports.object_store import ObjectUrl

_COPIES_BYTES = 10 << 30
"""Copies of what is in an object store take at most so much of this machine's disk,"""
_IN_USE_SECONDS = 3600.0
"""apart from those that were asked for within this time: a process may still open their files."""
_CHUNK_BYTES = 8 << 20


@dataclass(frozen=True)
class Artifacts:
    """Below a directory of this machine. A name is ``a/b``: of a file, or of a directory with files."""

    directory: Path

    def address(self, name: str) -> str:
        """Where everybody who reads finds it: a path, or a URL."""
        return str(self.directory.resolve() / name)

    def here(self, name: str) -> Path:
        """Where it lies on this machine, whether it is there or not; where it is written before `keep`."""
        return self.directory / name

    def has(self, name: str) -> bool:
        """Whether the file of this name was kept."""
        return self.here(name).is_file()

    def keep(self, name: str) -> None:
        """What was written whole under its name `here` is from now on there for everybody."""

    def leave(self, name: str) -> bool:
        """Let go of a copy of what is kept elsewhere; False where what is here is all that there is."""
        return False

    def names(self) -> Iterator[str]:
        """Every file that is kept, in order."""
        for path in sorted(self.directory.rglob("*")):
            name = path.relative_to(self.directory)
            if path.is_file() and not any(part.startswith(".") for part in name.parts):
                yield name.as_posix()

    def remove(self, name: str) -> None:
        """Remove a file; nothing happens when it is not there."""
        self.here(name).unlink(missing_ok=True)


@dataclass(frozen=True)
class SharedArtifacts(Artifacts):
    """Below the URL of an object store; ``directory`` holds copies. Can be sent to another process.

    `UnavailableError`, `SettingError` for credentials and `NotFoundError` for a bucket name the artifact.
    """

    url: str
    copies_bytes: int = _COPIES_BYTES

    def __reduce__(self) -> tuple[Callable[..., SharedArtifacts], tuple[Path, str, int]]:
        return SharedArtifacts, (self.directory, self.url, self.copies_bytes)

    @cached_property
    def _place(self) -> ObjectUrl:
        return ObjectUrl(self.url)

    @cached_property
    def _store(self) -> Any:
        return self._place.store()

    def address(self, name: str) -> str:
        return f"{self._place.url}/{name}"

    def here(self, name: str) -> Path:
        """A copy of it, brought when there is none."""
        path = super().here(name)
        try:
            os.utime(path)
        except FileNotFoundError:
            self._bring(name, path)
            with suppress(FileNotFoundError):  # others trim too
                self._trim()
        return path

    def has(self, name: str) -> bool:
        with self._place.faults(name):
            try:
                self._store.head(name)
            except FileNotFoundError:
                return False
        return True

    def keep(self, name: str) -> None:
        """An object appears whole or not at all; whoever keeps the same at the same time writes the same bytes."""
        path = super().here(name)
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        with self._place.faults(name):
            for file in files:
                self._store.put(file.relative_to(self.directory).as_posix(), file)

    def leave(self, name: str) -> bool:
        path = super().here(name)
        gone = path.with_name(f".draft-{uuid.uuid4().hex}")
        try:
            path.rename(gone)
        except FileNotFoundError:
            return True
        shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
        return True

    def names(self) -> Iterator[str]:
        with self._place.faults():
            yield from sorted(entry["path"] for chunk in self._store.list() for entry in chunk)

    def remove(self, name: str) -> None:
        self.leave(name)
        with self._place.faults(name):
            try:
                self._store.delete(name)
            except FileNotFoundError:
                return

    def _bring(self, name: str, path: Path) -> None:
        """The copy takes its place when it is whole; of two processes that bring it one is first."""
        draft = path.parent / f".draft-{uuid.uuid4().hex}"
        draft.mkdir(parents=True)
        try:
            with self._place.faults(name):
                found = [entry["path"] for chunk in self._store.list(name) for entry in chunk]
                for one in found:
                    self._download(one, draft / self._within(one, name))
            if not found:
                raise NotFoundError(self.address(name), "it is not in the object store")
            with suppress(OSError):  # another process was faster with the same files
                draft.rename(path)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _download(self, one: str, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            for chunk in self._store.get(one).stream(min_chunk_size=_CHUNK_BYTES):
                file.write(chunk)

    def _within(self, one: str, name: str) -> PurePosixPath:
        """`UnsafeArtifactError` for a name that would lead out of the copy."""
        within = PurePosixPath(one).relative_to(name)
        if ".." in within.parts or not within.parts:
            raise UnsafeArtifactError(self.address(name), f"an object is called {one}", expected="names of plain files")
        return within

    def _trim(self) -> None:
        """Remove copies that nobody asked for lately, the oldest first, until the others take no more than they may."""
        copies = [path for path in self.directory.glob("*/*") if path.is_dir()]
        used = {path: path.stat().st_mtime for path in copies}
        taken = {path: sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) for path in copies}
        total = sum(taken.values())
        for path in sorted(copies, key=used.__getitem__):
            if total <= self.copies_bytes or used[path] > time.time() - _IN_USE_SECONDS:
                return
            total -= taken[path]
            self.leave(path.relative_to(self.directory).as_posix())
