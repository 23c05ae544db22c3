"""Where tables lie: names to paths below one root, on local disk or an object store."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow.fs as pafs

from inseam.kernel.errors import DefinitionError

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,126}\Z")
LOG = "_delta_log"


class Location:
    """A root directory or object store URL, and the tables below it."""

    def __init__(self, root: str | Path, options: Mapping[str, str] | None = None) -> None:
        text = os.fspath(root)
        self.options = dict(options or {})
        self.is_local = "://" not in text or text.startswith("file://")
        if self.is_local:
            self.root = str(Path(text.removeprefix("file://")).absolute())
            self.filesystem, self._base = pafs.LocalFileSystem(), self.root
        else:
            self.root = text.rstrip("/")
            self.filesystem, self._base = pafs.FileSystem.from_uri(self.root)

    def uri(self, table: str) -> str:
        """The table's address for delta-rs; `DefinitionError` for a name that is no path of plain names."""
        self._check(table)
        return f"{self.root}/{table}"

    def path(self, table: str) -> str:
        """The table's address within `filesystem`."""
        self._check(table)
        return f"{self._base}/{table}"

    def is_table(self, table: str) -> bool:
        return bool(self.filesystem.get_file_info(f"{self.path(table)}/{LOG}").type == pafs.FileType.Directory)

    def ancestors(self, table: str) -> Iterator[str]:
        """``a`` and ``a/b`` for ``a/b/c``."""
        parts = table.split("/")
        return ("/".join(parts[:count]) for count in range(1, len(parts)))

    def log_entry(self, table: str, version: int) -> str:
        """One commit of the table's log, as JSON lines."""
        with self.filesystem.open_input_file(f"{self.path(table)}/{LOG}/{version:020d}.json") as file:
            return bytes(file.read()).decode()

    def walk(self) -> Iterator[str]:
        """The names of all tables, in order."""
        yield from self._walk("")

    def remove(self, table: str) -> None:
        """Destroy a table's files. On local disk the table vanishes in one step, by a rename, before they are freed."""
        path = self.path(table)
        if self.is_local:
            gone = f"{self._base}/.dropped-{uuid.uuid4().hex}"
            Path(path).rename(gone)
            path = gone
        self.filesystem.delete_dir(path)

    def _walk(self, under: str) -> Iterator[str]:
        selector = pafs.FileSelector(f"{self._base}/{under}".rstrip("/"), allow_not_found=True)
        found = self.filesystem.get_file_info(selector)
        names = sorted(info.base_name for info in found if info.type == pafs.FileType.Directory)
        if LOG in names:
            yield under
            return
        for name in names:
            if _PART.match(name):
                yield from self._walk(f"{under}/{name}" if under else name)

    @staticmethod
    def _check(table: str) -> None:
        if not all(_PART.match(part) for part in table.split("/")):
            raise DefinitionError(
                f"table {table!r}",
                "the name is not a path of plain names",
                expected="letters, digits, `_`, `-` and `.`, joined by `/`, e.g. sources/orders",
            )
