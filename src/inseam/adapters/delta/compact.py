"""Small files of a Delta table made one: the same rows in the same order, by one commit that changes no data.

A merged file takes the place of its first one: it has its instant, and all of its name that tells where it lies among
the others. Rows that tie go by that order, which delta-rs's own `optimize` turns round.
"""

from __future__ import annotations

import json
import random
import re
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple
from urllib.parse import quote, unquote

import pyarrow as pa
from deltalake import DeltaTable

from inseam.adapters.delta.files import BYTES_PER_FILE, write_file
from inseam.adapters.delta.location import Location
from inseam.kernel.errors import ConflictError, DataError
from inseam.ports.rows import watched

SMALL = (1 << 20, 32 << 20)
"""Bytes below which a file is merged with others as small, the smallest first: a row is written once more for each."""
_ATTEMPTS = 20
_NAME = re.compile(r"(?P<place>part-\d{20}-[0-9a-f]{12}-\d{5}-\d{5})-[0-9a-f]{8}(?:\.erased\d+)?\.parquet\Z")


class File(NamedTuple):
    """A data file of a snapshot: its size in bytes, and when the log says that it was written, in milliseconds."""

    name: str
    size: int
    milliseconds: int


def runs(files: Sequence[File], fewest: int) -> list[list[File]]:
    """The small files that lie side by side, at least ``fewest`` to be made one."""
    for small in SMALL:
        found = [run for run in _adjacent(files, small) if len(run) >= fewest]
        if found:
            return found
    return []


def _adjacent(files: Sequence[File], small: int) -> Iterator[list[File]]:
    run: list[File] = []
    size = 0
    for file in files:
        is_small = file.size < small and _NAME.match(file.name) is not None
        if not is_small or size + file.size > BYTES_PER_FILE:
            yield run
            run, size = [], 0
        if is_small:
            run.append(file)
            size += file.size
    yield run


class Compaction:
    """Makes one file of each of these runs. ``newest`` opens the table."""

    def __init__(
        self, location: Location, table: str, merged: Sequence[Sequence[File]], newest: Callable[[], DeltaTable]
    ) -> None:
        self._location, self._table, self._newest = location, table, newest
        self._directory = location.path(table)
        self._merged = {_successor(run[0].name): run for run in merged}

    def carry_out(self, schema: pa.Schema, seen: Callable[[int], None] | None) -> int:
        """Write them in ``schema`` and commit; the version."""
        try:
            actions = [self._written(name, schema, seen) for name in self._merged]
        except BaseException:
            self._discard()
            raise
        try:
            return self._commit(actions)
        except ConflictError:  # after another fault they may be in the log
            self._discard()
            raise

    def _written(self, name: str, schema: pa.Schema, seen: Callable[[int], None] | None) -> dict[str, object]:
        """A run's rows in one file; what the log says of it."""
        import pyarrow.dataset as ds

        filesystem, run = self._location.filesystem, self._merged[name]
        paths = [f"{self._directory}/{file.name}" for file in run]
        try:
            files = ds.dataset(paths, schema=schema, format="parquet", filesystem=filesystem)
            rows = pa.RecordBatchReader.from_batches(schema, watched(files.scanner().to_reader(), seen))
            size, statistics = write_file(self._location, f"{self._directory}/{name}", rows)
        except (FileNotFoundError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(f"table {self._table!r}", f"its small files were not merged: {error}") from error
        return _action("add", name, size, modificationTime=run[0].milliseconds, stats=statistics)

    def _commit(self, added: Sequence[dict[str, object]]) -> int:
        now = time.time_ns() // 1_000_000
        told = {"commitInfo": {"timestamp": now, "operation": "OPTIMIZE", "operationParameters": {}}}
        gone = {file.name: file.size for run in self._merged.values() for file in run}
        # They say no time of removal: else each checkpoint named them for a week, a hundred thousand of a busy stream.
        removed = [_action("remove", name, size, extendedFileMetadata=True) for name, size in gone.items()]
        text = "".join(f"{json.dumps(action, ensure_ascii=False)}\n" for action in (told, *removed, *added))
        for _ in range(_ATTEMPTS):
            opened = self._newest()
            version, held = int(opened.version()), _names(opened)
            if not held.isdisjoint(self._merged):  # the store's answer to the attempt before was lost
                return version
            if not held.issuperset(gone):
                raise self._conflict("another process merged, replaced or erased them")
            if self._location.add_log_entry(self._table, version + 1, text):
                return version + 1
            time.sleep(random.uniform(0, 0.05))
        raise self._conflict(f"others wrote to the table during {_ATTEMPTS} attempts to commit")

    def _conflict(self, found: str) -> ConflictError:
        return ConflictError(f"table {self._table!r}", f"its small files were not merged: {found}", mend="run it again")

    def _discard(self) -> None:
        for name in self._merged.keys() & self._location.names(self._table).keys():
            self._location.filesystem.delete_file(f"{self._directory}/{name}")


def _successor(name: str) -> str:
    """The name of a file in the place of another."""
    match = _NAME.match(name)
    assert match is not None  # no other is merged
    return f"{match['place']}-{uuid.uuid4().hex[:8]}.parquet"


def _names(opened: DeltaTable) -> set[str]:
    actions = pa.RecordBatchReader.from_stream(opened.get_add_actions()).read_all()
    return {unquote(path) for path in actions["path"].to_pylist()}


def _action(kind: str, name: str, size: int, **told: object) -> dict[str, object]:
    return {kind: {"path": quote(name), "partitionValues": {}, "size": size, "dataChange": False, **told}}
