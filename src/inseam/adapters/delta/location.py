"""Where tables lie: names to paths below one root, on local disk or an object store."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs

from inseam.kernel.errors import DefinitionError
from inseam.ports.object_store import ObjectUrl, is_object_url

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,126}\Z")
LOG = "_delta_log"
LAST_CHECKPOINT = "_last_checkpoint"


class Location:
    """A root directory, and the tables below it."""

    options: Mapping[str, str] = {}
    """Storage options of delta-rs."""
    _given: Mapping[str, str] = {}
    files: Any = None
    """Opens the files that snapshots name, as fsspec does; None where they are paths of this machine."""

    def __init__(self, root: str | Path) -> None:
        self.root = str(Path(os.fspath(root).removeprefix("file://")).absolute())
        self._base = self.root
        self.filesystem: pafs.FileSystem = pafs.LocalFileSystem()

    def __reduce__(self) -> tuple[Callable[..., Location], tuple[Any, ...]]:
        return locate, (self.root, dict(self._given))

    def faults(self) -> AbstractContextManager[None]:
        """What goes wrong at an object store inside leaves as an `InseamError`."""
        return nullcontext()

    def uri(self, table: str) -> str:
        """The table's address for delta-rs; `DefinitionError` for a name that is no path of plain names."""
        self._check(table)
        return f"{self.root}/{table}"

    def path(self, table: str) -> str:
        """The table's address within `filesystem`."""
        self._check(table)
        return f"{self._base}/{table}"

    def has_log(self, table: str) -> bool:
        """Whether opening the table can succeed, where it costs little to know."""
        return self.is_table(table)

    def is_table(self, table: str) -> bool:
        return bool(self.filesystem.get_file_info(f"{self.path(table)}/{LOG}").type == pafs.FileType.Directory)

    def ancestors(self, table: str) -> Iterator[str]:
        """``a`` and ``a/b`` for ``a/b/c``."""
        parts = table.split("/")
        return ("/".join(parts[:count]) for count in range(1, len(parts)))

    def entry(self, table: str, version: int) -> str:
        """The address within `filesystem` of one commit of the table's log."""
        return f"{self.path(table)}/{LOG}/{version:020d}.json"

    def make_durable(self, *paths: str) -> None:
        """Files outlive a loss of power from here on, as do their names. What a store has taken always does."""
        for path in {*paths, *(str(Path(path).parent) for path in paths)}:
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def log_entry(self, table: str, version: int) -> str:
        """One commit of the table's log, as JSON lines."""
        with self.filesystem.open_input_file(self.entry(table, version)) as file:
            return bytes(file.read()).decode()

    def rewrite_log_entry(self, table: str, version: int, text: str) -> None:
        """Put another text in the place of a commit, in one step."""
        path = self.entry(table, version)
        with self.filesystem.open_output_stream(f"{path}.new") as file:
            file.write(text.encode())
        self.make_durable(f"{path}.new")
        self.filesystem.move(f"{path}.new", path)
        self.make_durable(path)

    def add_log_entry(self, table: str, version: int, text: str) -> bool:
        """Make a commit, in one step; False where somebody else has made that version."""
        path = self.entry(table, version)
        hidden = f"{path}.{uuid.uuid4().hex}.new"
        with self.filesystem.open_output_stream(hidden) as file:
            file.write(text.encode())
        self.make_durable(hidden)
        try:
            os.link(hidden, path)
        except FileExistsError:
            return False
        finally:
            self.filesystem.delete_file(hidden)
        self.make_durable(path)
        return True

    def names(self, directory: str) -> dict[str, float]:
        """The files of a directory below the root, each with the time of its last change, in seconds."""
        found = self.filesystem.get_file_info(pafs.FileSelector(f"{self._base}/{directory}", allow_not_found=True))
        return {info.base_name: info.mtime_ns / 1e9 for info in found if info.type == pafs.FileType.File}

    def walk(self) -> Iterator[str]:
        """The names of all tables, in order."""
        yield from self._walk("")

    def remove(self, table: str) -> None:
        """Destroy a table's files. The table vanishes in one step, by a rename, before they are freed."""
        gone = f"{self._base}/.dropped-{uuid.uuid4().hex}"
        Path(self.path(table)).rename(gone)
        self.filesystem.delete_dir(gone)

    def _walk(self, under: str) -> Iterator[str]:
        names = self._directories(under)
        if LOG in names:
            yield under
            return
        for name in names:
            if _PART.match(name):
                yield from self._walk(f"{under}/{name}" if under else name)

    def _directories(self, under: str) -> list[str]:
        """The names of the directories in one below the root, in order; none when it is not there."""
        selector = pafs.FileSelector(f"{self._base}/{under}".rstrip("/"), allow_not_found=True)
        found = self.filesystem.get_file_info(selector)
        return sorted(info.base_name for info in found if info.type == pafs.FileType.Directory)

    @staticmethod
    def _check(table: str) -> None:
        if not all(_PART.match(part) for part in table.split("/")):
            raise DefinitionError(
                f"table {table!r}",
                "the name is not a path of plain names",
                expected="letters, digits, `_`, `-` and `.`, joined by `/`, e.g. sources/orders",
            )


class ObjectLocation(Location):
    """A place in an object store, and the tables below it. There are no directories, only names with a `/`."""

    def __init__(self, url: str, options: Mapping[str, str] | None = None) -> None:
        self._place = ObjectUrl(url, options)
        self._given = options or {}
        self.root = self._base = self._place.url
        self.options = self._place.for_delta()
        self._store = self._place.store()
        self.files = self._place.files()
        self.filesystem = pafs.PyFileSystem(pafs.FSSpecHandler(self.files))

    def faults(self) -> AbstractContextManager[None]:
        return self._place.faults()

    def has_log(self, table: str) -> bool:
        return True

    def is_table(self, table: str) -> bool:
        self._check(table)
        return any(chunk for chunk in self._store.list(f"{table}/{LOG}", chunk_size=1))

    def make_durable(self, *paths: str) -> None:
        pass

    def rewrite_log_entry(self, table: str, version: int, text: str) -> None:
        self._store.put(f"{table}/{LOG}/{version:020d}.json", text.encode())

    def add_log_entry(self, table: str, version: int, text: str) -> bool:
        from obstore.exceptions import AlreadyExistsError

        try:
            self._store.put(f"{table}/{LOG}/{version:020d}.json", text.encode(), mode="create")
        except AlreadyExistsError:
            return False
        return True

    def names(self, directory: str) -> dict[str, float]:
        found = self._store.list_with_delimiter(directory)["objects"]
        return {entry["path"].rpartition("/")[2]: entry["last_modified"].timestamp() for entry in found}

    def remove(self, table: str) -> None:
        """Destroy a table's files, its newest commit first: a crash leaves an older state, to be dropped again."""
        self._check(table)
        for under in (f"{table}/{LOG}", table):
            paths = sorted((entry["path"] for chunk in self._store.list(under) for entry in chunk), reverse=True)
            if under == table:
                self._store.delete(paths)
            else:
                for path in paths:
                    self._store.delete(path)

    def _directories(self, under: str) -> list[str]:
        found = self._store.list_with_delimiter(under or None)
        return sorted(prefix.rpartition("/")[2] for prefix in found["common_prefixes"])


def locate(root: str | Path, options: Mapping[str, str] | None = None) -> Location:
    """A directory, or the URL of a place in an object store with its options."""
    text = os.fspath(root)
    return ObjectLocation(text, options) if is_object_url(text) else Location(text)
