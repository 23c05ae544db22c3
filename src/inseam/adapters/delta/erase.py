"""Rows that leave a Delta table for good: its data files, its log and all of its snapshots, as if they had never come.

A data file with such rows is written anew without them and takes the old one's place in the log: a snapshot keeps its
version and all other rows. The log must change in any case, because it says the least and greatest cells of each file.
``part-a.parquet`` becomes ``part-a.erased1.parquet``, that ``part-a.erased2.parquet``: the names tell what is to be
cleaned up behind an erasure that was killed.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from inseam.adapters.delta.files import write_file
from inseam.adapters.delta.location import LAST_CHECKPOINT, LOG, Location
from inseam.kernel.errors import DefinitionError
from inseam.kernel.names import did_you_mean

_ENTRY = re.compile(r"(\d{20})\.json\Z")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint\b.*parquet\Z")
_DATA = re.compile(r"(?P<stem>.+?)(?:\.erased(?P<times>\d+))?\.parquet\Z")
_FILE = "__filename"
"""What Arrow calls the column of a row's file."""
_ABANDONED_SECONDS = 24 * 3600.0
"""A data file that no commit names is its writer's for so long; then the writer is dead."""


class _File(NamedTuple):
    """A data file as the log has it: its size in bytes, its statistics as JSON."""

    name: str
    size: int
    statistics: str


class Erasure:
    """The rows of one table whose cells are among those given, column by column. One at a time for a table."""

    def __init__(self, location: Location, table: str, schema: pa.Schema, cells: Mapping[str, Sequence[Any]]) -> None:
        self._location, self._table, self._schema = location, table, schema
        self._directory = location.path(table)
        self._is_gone = _condition(table, schema, cells)
        self._copies: set[str] = set()

    def count(self) -> int:
        """How many there are, in files of any snapshot."""
        added, _ = self._commits()
        return self._rows(self._found(), added)

    def carry_out(self, make_checkpoint: Callable[[int], None]) -> int:
        """Erase them; how many there were. Each step leaves a table that can be read, and is found done by the next."""
        (added, removed), found = self._commits(), self._found()
        moved = {name: self._rewritten(name) for name in found if name in added}
        # Newest first: what removes a file is told of its new name before the file has it.
        for version in sorted({v for name in moved for v in (*added[name], *removed.get(name, ()))}, reverse=True):
            lines = self._location.log_entry(self._table, version).splitlines()
            text = "".join(f"{line}\n" for line in _renamed(lines, moved))
            self._location.rewrite_log_entry(self._table, version, text)
        self._clean_up([moved[name].name if name in moved else name for name in added], make_checkpoint)
        self._take_out(self._abandoned(name for name in found if name not in added))
        return self._rows(found, added)

    def _rows(self, found: Mapping[str, int], added: Iterable[str]) -> int:
        """How many rows they are: those of a merged file came with the files that it was made of."""
        return sum(found.get(name, 0) for name in added if name not in self._copies)

    def _commits(self) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
        """By data file: the versions that add it, and those that remove it."""
        found: dict[str, dict[str, list[int]]] = {"add": {}, "remove": {}}
        for version in self._log(_ENTRY):
            for line in self._location.log_entry(self._table, version).splitlines():
                action = json.loads(line)
                for kind in found.keys() & action.keys():
                    name = unquote(action[kind]["path"])
                    found[kind].setdefault(name, []).append(version)
                    if kind == "add" and not action[kind]["dataChange"]:
                        self._copies.add(name)
        return found["add"], found["remove"]

    def _found(self) -> dict[str, int]:
        """By data file that is there: how many of its rows are to go."""
        names = self._location.names(self._table)
        paths = [f"{self._directory}/{name}" for name in names if _DATA.match(name) is not None]
        files = ds.dataset(paths, schema=self._schema, format="parquet", filesystem=self._location.filesystem)
        scanned = files.scanner(columns=[_FILE], filter=self._is_gone)
        counts: dict[str, int] = {}
        for batch in scanned.to_batches():
            for file, count in zip(
                *(part.to_pylist() for part in pc.value_counts(batch[_FILE]).flatten()), strict=True
            ):
                name = file.rpartition("/")[2]
                counts[name] = counts.get(name, 0) + count
        return counts

    def _rewritten(self, name: str) -> _File:
        """A data file without the rows."""
        file = ds.dataset(f"{self._directory}/{name}", format="parquet", filesystem=self._location.filesystem)
        stays = pc.invert(self._is_gone) | self._is_gone.is_null()
        stem, times = _generation(name)
        later = f"{stem}.erased{times + 1}.parquet"
        rows = file.scanner(filter=stays).to_reader()
        return _File(later, *write_file(self._location, f"{self._directory}/{later}", rows))

    def _clean_up(self, names: Iterable[str], make_checkpoint: Callable[[int], None]) -> None:
        """Take out the earlier forms of files, and before them the checkpoints that name those."""
        earlier = {form for name in names for form in _earlier(name)}
        left = sorted(earlier & self._location.names(self._table).keys())
        if not left:
            return
        stale = {version: name for version, name in self._log(_CHECKPOINT).items() if self._names(name, left)}
        if stale:
            self._take_out([f"{LOG}/{LAST_CHECKPOINT}", *(f"{LOG}/{name}" for name in stale.values())])
        for version in sorted(stale):
            make_checkpoint(version)
        self._take_out(left)

    def _log(self, pattern: re.Pattern[str]) -> dict[int, str]:
        """The files of the log whose names match, by version, in order."""
        names = sorted(self._location.names(f"{self._table}/{LOG}"))
        return {int(match[1]): name for name in names if (match := pattern.match(name)) is not None}

    def _names(self, checkpoint: str, files: Sequence[str]) -> bool:
        path = f"{self._directory}/{LOG}/{checkpoint}"
        file = pq.ParquetFile(path, filesystem=self._location.filesystem)
        paths = pc.struct_field(file.read(["add.path"])["add"], "path")
        return bool(pc.any(pc.is_in(paths, value_set=pa.array([quote(name) for name in files]))).as_py())

    def _abandoned(self, names: Iterable[str]) -> list[str]:
        changed = self._location.names(self._table)
        return [name for name in names if name in changed and time.time() - changed[name] > _ABANDONED_SECONDS]

    def _take_out(self, names: Iterable[str]) -> None:
        filesystem = self._location.filesystem
        for name in names:
            path = f"{self._directory}/{name}"
            if filesystem.get_file_info(path).is_file:
                filesystem.delete_file(path)


def _condition(table: str, schema: pa.Schema, cells: Mapping[str, Sequence[Any]]) -> pc.Expression:
    """True for the rows that are to go; not so, or NULL, for all others."""
    whole = pc.scalar(True)
    for name, values in cells.items():
        if name not in schema.names:
            raise DefinitionError(
                f"table {table!r}", f"there is no column {name!r}", mend=did_you_mean(name, schema.names)
            )
        whole &= pc.field(name).isin(pa.array(values, schema.field(name).type))
    return whole


def _renamed(lines: Sequence[str], moved: Mapping[str, _File]) -> Iterator[str]:
    """A commit's actions with the new names: a file that is removed is so under both."""
    removed = {unquote(action["path"]) for line in lines if (action := json.loads(line).get("remove")) is not None}
    for line in lines:
        action = json.loads(line)
        kind = next((kind for kind in ("add", "remove") if kind in action), "")
        name = unquote(action[kind]["path"]) if kind else ""
        if name not in moved:
            yield line
            continue
        later, size, statistics = moved[name]
        if kind == "remove":
            yield line
            if later not in removed:
                yield json.dumps({kind: {**action[kind], "path": quote(later), "size": size}})
        else:
            yield json.dumps({kind: {**action[kind], "path": quote(later), "size": size, "stats": statistics}})


def _generation(name: str) -> tuple[str, int]:
    """A data file's name without its end, and how often rows were erased from it."""
    match = _DATA.match(name)
    assert match is not None  # the names of a table's data files end so
    return match["stem"], int(match["times"] or 0)


def _earlier(name: str) -> Iterator[str]:
    """The names that a data file had before rows were erased from it."""
    stem, times = _generation(name)
    for time_ in range(times):
        yield f"{stem}.erased{time_}.parquet" if time_ else f"{stem}.parquet"
