"""Delta tables by delta-rs: data files are written once, and only their commit is tried again on a conflict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable

from inseam.adapters.delta.commit import Commit, check_types, checkpoint, has_seen
from inseam.adapters.delta.compact import Compaction, runs
from inseam.adapters.delta.files import DataFiles
from inseam.adapters.delta.location import locate
from inseam.adapters.delta.log import arrow_schema, files_of, in_order, ingested_after, null_counts, open_table
from inseam.kernel.errors import DataError, DefinitionError, NotFoundError
from inseam.kernel.names import did_you_mean
from inseam.kernel.types import Schema
from inseam.ports.compacting import Compacted
from inseam.ports.rows import Given, Parts
from inseam.ports.tables import CommitKey, Snapshot

_Given = ParamSpec("_Given")
_Made = TypeVar("_Made")


def _told(
    method: Callable[Concatenate[DeltaTables, _Given], _Made],
) -> Callable[Concatenate[DeltaTables, _Given], _Made]:
    """The method, whose faults at an object store are told in our words."""

    @wraps(method)
    def telling(self: DeltaTables, /, *given: _Given.args, **named: _Given.kwargs) -> _Made:
        with self._location.faults():
            return method(self, *given, **named)

    return telling


class DeltaTables:
    """`inseam.ports.tables.Tables` below a directory or an object store URL.

    ``options`` are those of an object store, e.g. ``aws_region``. Rows lie in files in the order in which they came.
    """

    def __init__(self, root: str | Path, options: Mapping[str, str] | None = None) -> None:
        self._location = locate(root, options)
        self.files: Any = self._location.files

    @_told
    def append(
        self,
        table: str,
        rows: Given,
        *,
        key: CommitKey | None = None,
        metadata: Mapping[str, str] | None = None,
        seen: Callable[[int], None] | None = None,
        parts: Parts | None = None,
    ) -> int:
        opened = open_table(self._location, table)
        if opened is not None and has_seen(opened, key):
            return int(opened.version())
        schema = _plain_schema(table, rows.schema)
        if opened is None:
            self._check_new(table)
        else:
            check_types(table, Schema.from_arrow(arrow_schema(opened)), schema)
        files = DataFiles(self._location, table)
        files.write(rows, schema, seen, parts)
        return Commit(self._location, table, files, schema, key=key, metadata=metadata).append()

    @_told
    def replace(self, table: str, rows: Given, *, metadata: Mapping[str, str] | None = None) -> int:
        if open_table(self._location, table) is None:
            self._check_new(table)
        schema = _plain_schema(table, rows.schema)
        files = DataFiles(self._location, table)
        files.write(rows, schema)
        return Commit(self._location, table, files, schema, metadata=metadata).replace()

    @_told
    def snapshot(self, table: str, version: int | None = None, *, since: int | None = None) -> Snapshot:
        opened = open_table(self._location, table, version)
        if opened is None:
            raise self._missing(table)
        actions = in_order(opened)
        actions = actions if since is None else ingested_after(actions, since)
        directory = self._location.path(table)
        schema = Schema.from_arrow(arrow_schema(opened))
        return Snapshot(
            table=table,
            version=int(opened.version()),
            files=tuple(f"{directory}/{unquote(path)}" for path in actions["path"].to_pylist()),
            schema=schema,
            rows=sum(actions["num_records"].to_pylist()),
            bytes=sum(actions["size_bytes"].to_pylist()),
            null_counts=null_counts(actions, schema),
        )

    @_told
    def committed(self, table: str, application: str) -> int | None:
        opened = open_table(self._location, table)
        number = None if opened is None else opened.transaction_version(application)
        return None if number is None else int(number)

    @_told
    def erase(self, table: str, cells: Mapping[str, Sequence[Any]], *, is_dry_run: bool = False) -> int:
        opened = open_table(self._location, table)
        if opened is None:
            raise self._missing(table)
        from inseam.adapters.delta.erase import Erasure

        erasure = Erasure(self._location, table, arrow_schema(opened), cells)
        if is_dry_run:
            return erasure.count()
        return erasure.carry_out(
            lambda version: DeltaTable(
                self._location.uri(table), version=version, storage_options=dict(self._location.options)
            ).create_checkpoint()
        )

    @_told
    def compact(self, table: str, *, fewest: int, seen: Callable[[int], None] | None = None) -> Compacted | None:
        """`inseam.ports.compacting.Compacting`."""
        opened = open_table(self._location, table)
        if opened is None:
            raise self._missing(table)
        files = files_of(opened)
        merged = runs(files, fewest)
        if not merged:
            return None
        compaction = Compaction(self._location, table, merged, lambda: open_table(self._location, table) or opened)
        version = compaction.carry_out(arrow_schema(opened), seen)
        checkpoint(self._location, table, version)
        return Compacted(version, len(files), len(files) - sum(len(run) - 1 for run in merged))

    @_told
    def list(self) -> tuple[str, ...]:
        return tuple(self._location.walk())

    @_told
    def drop(self, table: str) -> None:
        if not self._location.is_table(table):
            raise self._missing(table)
        self._location.remove(table)

    def _missing(self, table: str) -> NotFoundError:
        return NotFoundError(f"table {table!r}", "there is no such table", mend=did_you_mean(table, self.list()))

    def _check_new(self, table: str) -> None:
        for outer in self._location.ancestors(table):
            if self._location.is_table(outer):
                raise DefinitionError(f"table {table!r}", f"{outer!r} is a table, and tables don't lie in tables")


def _plain_schema(table: str, schema: pa.Schema) -> pa.Schema:
    """The stream's columns in the types in which they are stored."""
    try:
        return Schema.from_arrow(schema).to_arrow()
    except ValueError as error:
        raise DataError(f"table {table!r}", str(error)) from error
