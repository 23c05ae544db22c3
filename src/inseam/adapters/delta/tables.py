"""Delta tables by delta-rs: data files are written once, and only their commit is tried again on a conflict."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake import Schema as DeltaSchema
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import create_table_with_add_actions

from inseam.adapters.delta.compact import Compaction, File, runs
from inseam.adapters.delta.files import DataFiles
from inseam.adapters.delta.location import LAST_CHECKPOINT, LOG, locate
from inseam.ir.relation import INGESTED_AT
from inseam.kernel.errors import ConflictError, DataError, DefinitionError, InseamError, NotFoundError
from inseam.kernel.names import did_you_mean
from inseam.kernel.types import Schema
from inseam.ports.compacting import Compacted
from inseam.ports.rows import Given
from inseam.ports.tables import CommitKey, Snapshot

ATTEMPTS = 14
COMMITS_PER_CHECKPOINT = 20
COMMIT = "inseam.commit"
"""In a commit's metadata: what names it, so that its version can be found."""
CONFIGURATION = {
    # Statistics of all columns, not of the first 32 alone: snapshots answer for NULLs without reading data.
    "delta.dataSkippingNumIndexedCols": "-1",
    # A replay may ask for any snapshot, however old: the log is never cut by itself.
    "delta.enableExpiredLogCleanup": "false",
}


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
    ) -> int:
        opened = self._open(table)
        if opened is not None and _has_seen(opened, key):
            return int(opened.version())
        schema = _plain_schema(table, rows.schema)
        if opened is None:
            self._check_new(table)
        else:
            _check_types(table, Schema.from_arrow(_arrow_schema(opened)), schema)
        files = DataFiles(self._location, table)
        files.write(rows, schema, seen)
        properties = _properties(key, metadata)
        return self._commit(table, files, partial(self._append_once, table, files, schema, key, properties))

    @_told
    def replace(self, table: str, rows: Given, *, metadata: Mapping[str, str] | None = None) -> int:
        if self._open(table) is None:
            self._check_new(table)
        schema = _plain_schema(table, rows.schema)
        files = DataFiles(self._location, table)
        files.write(rows, schema)
        properties = _properties(None, metadata)
        return self._commit(table, files, partial(self._replace_once, table, files, schema, properties))

    @_told
    def snapshot(self, table: str, version: int | None = None, *, since: int | None = None) -> Snapshot:
        opened = self._open(table, version)
        if opened is None:
            raise self._missing(table)
        actions = _in_order(opened)
        actions = actions if since is None else _ingested_after(actions, since)
        directory = self._location.path(table)
        schema = Schema.from_arrow(_arrow_schema(opened))
        return Snapshot(
            table=table,
            version=int(opened.version()),
            files=tuple(f"{directory}/{unquote(path)}" for path in actions["path"].to_pylist()),
            schema=schema,
            rows=sum(actions["num_records"].to_pylist()),
            bytes=sum(actions["size_bytes"].to_pylist()),
            null_counts=_null_counts(actions, schema),
        )

    @_told
    def committed(self, table: str, application: str) -> int | None:
        opened = self._open(table)
        number = None if opened is None else opened.transaction_version(application)
        return None if number is None else int(number)

    @_told
    def erase(self, table: str, cells: Mapping[str, Sequence[Any]], *, is_dry_run: bool = False) -> int:
        opened = self._open(table)
        if opened is None:
            raise self._missing(table)
        from inseam.adapters.delta.erase import Erasure

        erasure = Erasure(self._location, table, _arrow_schema(opened), cells)
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
        opened = self._open(table)
        if opened is None:
            raise self._missing(table)
        files = _files(opened)
        merged = runs(files, fewest)
        if not merged:
            return None
        compaction = Compaction(self._location, table, merged, lambda: self._open(table) or opened)
        version = compaction.carry_out(_arrow_schema(opened), seen)
        self._checkpoint(table, version)
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

    def _open(self, table: str, version: int | None = None) -> DeltaTable | None:
        uri, options = self._location.uri(table), self._location.options
        if not self._location.has_log(table):
            return None
        try:
            return DeltaTable(uri, version=version, storage_options=dict(options))
        except TableNotFoundError:
            return None
        except DeltaError as error:
            if version is None:
                raise
            newest = self._open(table)
            raise NotFoundError(
                f"table {table!r}",
                f"it has no snapshot {version}",
                expected=f"0 to {newest.version()}" if newest is not None else "",
            ) from error

    def _check_new(self, table: str) -> None:
        for outer in self._location.ancestors(table):
            if self._location.is_table(outer):
                raise DefinitionError(f"table {table!r}", f"{outer!r} is a table, and tables don't lie in tables")

    def _commit(self, table: str, files: DataFiles, once: Callable[[], int]) -> int:
        """Try a commit until it meets no conflict.

        Data files are taken back only where it is certain that no commit names them: after a refusal of ours or a
        conflict, never after an interrupt or a fault of the store, which may have come after the commit.
        """
        reason: Exception | None = None
        for attempt in range(ATTEMPTS):
            try:
                version = once()
                break
            except CommitFailedError as error:
                reason = error
                time.sleep(random.uniform(0.5, 1) * min(0.02 * 2**attempt, 1.0))
            except InseamError:
                files.discard()
                raise
        else:
            files.discard()
            raise ConflictError(
                f"table {table!r}",
                f"other writers changed it during {ATTEMPTS} attempts to commit: {reason}",
                mend="run it again when they are done",
            ) from reason
        self._location.make_durable(self._location.entry(table, version))
        self._checkpoint(table, version)
        return version

    def _append_once(
        self, table: str, files: DataFiles, schema: pa.Schema, key: CommitKey | None, properties: CommitProperties
    ) -> int:
        opened = self._open(table)
        if opened is None:
            return self._create(table, files, schema, properties)
        if _has_seen(opened, key):
            if not files.are_in(opened.file_uris()):
                files.discard()
            return int(opened.version())
        held = _check_types(table, Schema.from_arrow(_arrow_schema(opened)), schema)
        added = [field for field in schema if field.name not in held]
        if added:
            opened.alter.add_columns(DeltaSchema.from_arrow(pa.schema(added)).fields)
        base = int(opened.version())
        opened.create_write_transaction(files.actions, "append", opened.schema(), commit_properties=properties)
        return self._version_of(table, opened, base, properties)

    def _replace_once(self, table: str, files: DataFiles, schema: pa.Schema, properties: CommitProperties) -> int:
        opened = self._open(table)
        if opened is None:
            return self._create(table, files, schema, properties)
        delta = DeltaSchema.from_arrow(schema)
        base = int(opened.version())
        opened.create_write_transaction(files.actions, "overwrite", delta, commit_properties=properties)
        return self._version_of(table, opened, base, properties)

    def _version_of(self, table: str, opened: DeltaTable, base: int, properties: CommitProperties) -> int:
        """The version that a commit on ``base`` became: delta-rs does not say, and others may have come between."""
        mark = (properties.custom_metadata or {})[COMMIT]
        # Mostly the next one; to ask for the newest reads the names of all commits.
        if mark in self._location.log_entry(table, base + 1):
            return base + 1
        opened.update_incremental()
        newest = int(opened.version())
        # `DeltaTable.history` miscounts its versions while others commit: the log itself is asked.
        found = (v for v in range(base + 2, newest + 1) if mark in self._location.log_entry(table, v))
        version = next(found, None)
        if version is None:
            raise DataError(
                f"table {table!r}",
                "the store let another writer's commit take the place of this one",
                expected="a store whose conditional puts (If-None-Match) hold among writers at once",
                mend="keep to one writer, or use another store; then write these rows again",
            )
        return version

    def _create(self, table: str, files: DataFiles, schema: pa.Schema, properties: CommitProperties) -> int:
        """The first commit. Losing the race to create the table is a conflict like any other.

        delta-rs must not try it again by itself: it would write the creation as version 1, past any commit key.
        """
        properties = CommitProperties(properties.custom_metadata, 0, properties.app_transactions)
        try:
            create_table_with_add_actions(
                self._location.uri(table),
                DeltaSchema.from_arrow(schema),
                files.actions,
                mode="error",
                configuration=CONFIGURATION,
                storage_options=dict(self._location.options),
                commit_properties=properties,
            )
        except DeltaError as error:
            if self._open(table) is None:
                raise
            raise CommitFailedError(str(error)) from error
        self._location.make_durable(*map(self._location.path, (table, *self._location.ancestors(table))))
        return 0

    def _checkpoint(self, table: str, version: int) -> None:
        if version and version % COMMITS_PER_CHECKPOINT == 0:
            opened = self._open(table, version)
            if opened is not None:
                opened.create_checkpoint()
                log = f"{self._location.path(table)}/{LOG}"
                names = (f"{version:020d}.checkpoint.parquet", LAST_CHECKPOINT)
                self._location.make_durable(*(f"{log}/{name}" for name in names))


def _has_seen(opened: DeltaTable, key: CommitKey | None) -> bool:
    number = None if key is None else opened.transaction_version(key.application)
    return key is not None and number is not None and number >= key.number


def _properties(key: CommitKey | None, metadata: Mapping[str, str] | None) -> CommitProperties:
    transactions = None if key is None else [Transaction(key.application, key.number)]
    return CommitProperties(
        custom_metadata={**(metadata or {}), COMMIT: uuid.uuid4().hex}, app_transactions=transactions
    )


def _arrow_schema(opened: DeltaTable) -> pa.Schema:
    return pa.schema(opened.schema().to_arrow())


def _plain_schema(table: str, schema: pa.Schema) -> pa.Schema:
    """The stream's columns in the types in which they are stored."""
    try:
        return Schema.from_arrow(schema).to_arrow()
    except ValueError as error:
        raise DataError(f"table {table!r}", str(error)) from error


def _check_types(table: str, held: Schema, schema: pa.Schema) -> Schema:
    """``held`` again; `DataError` when a column of the stream has another type than the table's."""
    for field in Schema.from_arrow(schema):
        kept = held.type_of(field.name)
        if kept is not None and kept is not field.type:
            raise DataError(
                f"table {table!r}",
                f"column {field.name!r} comes as {field.type}",
                expected=f"{kept}, as the table holds it",
                mend="cast the column, or replace the table",
            )
    return held


def _in_order(opened: DeltaTable) -> pa.Table:
    """What the log says of the snapshot's files, as their rows came.

    Sorted, because the log lists its newest files first: file names carry the instant of their writing.
    """
    # As a stream, because `pa.table` loads pandas to see that it is no frame of it.
    actions = pa.RecordBatchReader.from_stream(opened.get_add_actions(flatten=True)).read_all()
    return actions.sort_by([("modification_time", "ascending"), ("path", "ascending")])


def _files(opened: DeltaTable) -> Sequence[File]:
    actions = _in_order(opened)
    names = map(unquote, actions["path"].to_pylist())
    return [*map(File, names, actions["size_bytes"].to_pylist(), actions["modification_time"].to_pylist())]


def _ingested_after(actions: pa.Table, instant: int) -> pa.Table:
    """The files that may hold rows ingested after an instant, as far as their statistics say; history is never."""
    newest, empty = f"max.{INGESTED_AT}", f"null_count.{INGESTED_AT}"
    if newest not in actions.column_names or empty not in actions.column_names:
        return actions
    # Statistics of other writers are cut to milliseconds.
    is_older = pc.less_equal(actions[newest].cast(pa.timestamp("us", "UTC")).cast(pa.int64()), instant - 1_000)
    is_history = pc.equal(actions[empty], actions["num_records"])
    gone = pc.or_(pc.fill_null(is_older, fill_value=False), pc.fill_null(is_history, fill_value=False))
    return actions.filter(pc.invert(gone))


def _null_counts(actions: pa.Table, schema: Schema) -> dict[str, int]:
    counts: dict[str, int] = {}
    told = set(actions.column_names)
    for name in schema.names:
        column: Any = actions.column(f"null_count.{name}") if f"null_count.{name}" in told else None
        if actions.num_rows == 0:
            counts[name] = 0
        elif column is not None and column.null_count == 0:
            counts[name] = sum(column.to_pylist())
    return counts
