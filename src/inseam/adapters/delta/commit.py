"""One commit of data files that are written: only it is tried again when it meets another's."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Mapping

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake import Schema as DeltaSchema
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import create_table_with_add_actions

from inseam.adapters.delta.files import DataFiles
from inseam.adapters.delta.location import LAST_CHECKPOINT, LOG, Location
from inseam.adapters.delta.log import arrow_schema, open_table
from inseam.kernel.errors import ConflictError, DataError, InseamError
from inseam.kernel.types import Schema
from inseam.ports.tables import CommitKey

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


class Commit:
    """Makes ``files``, written in ``schema``, part of a table, once for a ``key``; each way gives the version."""

    def __init__(
        self,
        location: Location,
        table: str,
        files: DataFiles,
        schema: pa.Schema,
        *,
        key: CommitKey | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        self._location, self._table, self._files, self._schema, self._key = location, table, files, schema, key
        self._mark = uuid.uuid4().hex
        transactions = None if key is None else [Transaction(key.application, key.number)]
        self._properties = CommitProperties(
            custom_metadata={**(metadata or {}), COMMIT: self._mark}, app_transactions=transactions
        )

    def append(self) -> int:
        """Add the rows. With a key that the table has seen the files are taken back."""
        return self._carry_out(self._append_once)

    def replace(self) -> int:
        """Put the rows in the place of all others."""
        return self._carry_out(self._replace_once)

    def _carry_out(self, once: Callable[[], int]) -> int:
        """Try until there is no conflict.

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
                self._files.discard()
                raise
        else:
            self._files.discard()
            raise ConflictError(
                f"table {self._table!r}",
                f"other writers changed it during {ATTEMPTS} attempts to commit: {reason}",
                mend="run it again when they are done",
            ) from reason
        self._location.make_durable(self._location.entry(self._table, version))
        checkpoint(self._location, self._table, version)
        return version

    def _append_once(self) -> int:
        opened = open_table(self._location, self._table)
        if opened is None:
            return self._create()
        if has_seen(opened, self._key):
            if not self._files.are_in(opened.file_uris()):
                self._files.discard()
            return int(opened.version())
        held = check_types(self._table, Schema.from_arrow(arrow_schema(opened)), self._schema)
        added = [field for field in self._schema if field.name not in held]
        if added:
            opened.alter.add_columns(DeltaSchema.from_arrow(pa.schema(added)).fields)
        return self._write(opened, "append", opened.schema())

    def _replace_once(self) -> int:
        opened = open_table(self._location, self._table)
        if opened is None:
            return self._create()
        return self._write(opened, "overwrite", DeltaSchema.from_arrow(self._schema))

    def _write(self, opened: DeltaTable, mode: str, schema: DeltaSchema) -> int:
        """Commit on the version that is open; what it became: delta-rs does not say, others may have come between."""
        base = int(opened.version())
        opened.create_write_transaction(self._files.actions, mode, schema, commit_properties=self._properties)
        # Mostly the next one; to ask for the newest reads the names of all commits.
        if self._mark in self._location.log_entry(self._table, base + 1):
            return base + 1
        opened.update_incremental()
        newest = int(opened.version())
        # `DeltaTable.history` miscounts its versions while others commit: the log itself is asked.
        found = (v for v in range(base + 2, newest + 1) if self._mark in self._location.log_entry(self._table, v))
        version = next(found, None)
        if version is None:
            raise DataError(
                f"table {self._table!r}",
                "the store let another writer's commit take the place of this one",
                expected="a store whose conditional puts (If-None-Match) hold among writers at once",
                mend="keep to one writer, or use another store; then write these rows again",
            )
        return version

    def _create(self) -> int:
        """The first commit. Losing the race to create the table is a conflict like any other.

        delta-rs must not try it again by itself: it would write the creation as version 1, past any commit key.
        """
        location, table, own = self._location, self._table, self._properties
        try:
            create_table_with_add_actions(
                location.uri(table),
                DeltaSchema.from_arrow(self._schema),
                self._files.actions,
                mode="error",
                configuration=CONFIGURATION,
                storage_options=dict(location.options),
                commit_properties=CommitProperties(own.custom_metadata, 0, own.app_transactions),
            )
        except DeltaError as error:
            if open_table(location, table) is None:
                raise
            raise CommitFailedError(str(error)) from error
        location.make_durable(*map(location.path, (table, *location.ancestors(table))))
        return 0


def checkpoint(location: Location, table: str, version: int) -> None:
    """Write the checkpoint that is due at a version, if one is."""
    if version and version % COMMITS_PER_CHECKPOINT == 0:
        opened = open_table(location, table, version)
        if opened is not None:
            opened.create_checkpoint()
            log = f"{location.path(table)}/{LOG}"
            names = (f"{version:020d}.checkpoint.parquet", LAST_CHECKPOINT)
            location.make_durable(*(f"{log}/{name}" for name in names))


def has_seen(opened: DeltaTable, key: CommitKey | None) -> bool:
    """Whether a commit of this key, or of a later one of its application, is in the table."""
    number = None if key is None else opened.transaction_version(key.application)
    return key is not None and number is not None and number >= key.number


def check_types(table: str, held: Schema, schema: pa.Schema) -> Schema:
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
