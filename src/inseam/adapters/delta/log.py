"""What the log of a Delta table says: the table at a version, its files in the order of their rows, and statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from inseam.adapters.delta.compact import File
from inseam.adapters.delta.location import Location
from inseam.ir.relation import INGESTED_AT
from inseam.kernel.errors import NotFoundError
from inseam.kernel.types import Schema


def open_table(location: Location, table: str, version: int | None = None) -> DeltaTable | None:
    """None where there is no such table; `NotFoundError` where it has no such version."""
    if not location.has_log(table):
        return None
    try:
        return DeltaTable(location.uri(table), version=version, storage_options=dict(location.options))
    except TableNotFoundError:
        return None
    except DeltaError as error:
        if version is None:
            raise
        newest = open_table(location, table)
        raise NotFoundError(
            f"table {table!r}",
            f"it has no snapshot {version}",
            expected=f"0 to {newest.version()}" if newest is not None else "",
        ) from error


def arrow_schema(opened: DeltaTable) -> pa.Schema:
    """The table's columns in the types in which they are stored."""
    return pa.schema(opened.schema().to_arrow())


def in_order(opened: DeltaTable) -> pa.Table:
    """A line a file of the snapshot, as their rows came.

    Sorted, because the log lists its newest files first: file names carry the instant of their writing.
    """
    # As a stream, because `pa.table` loads pandas to see that it is no frame of it.
    actions = pa.RecordBatchReader.from_stream(opened.get_add_actions(flatten=True)).read_all()
    return actions.sort_by([("modification_time", "ascending"), ("path", "ascending")])


def files_of(opened: DeltaTable) -> Sequence[File]:
    """The snapshot's files, as their rows came."""
    actions = in_order(opened)
    names = map(unquote, actions["path"].to_pylist())
    return [*map(File, names, actions["size_bytes"].to_pylist(), actions["modification_time"].to_pylist())]


def ingested_after(actions: pa.Table, instant: int) -> pa.Table:
    """The files that may hold rows ingested after an instant, as far as their statistics say; history is never."""
    newest, empty = f"max.{INGESTED_AT}", f"null_count.{INGESTED_AT}"
    if newest not in actions.column_names or empty not in actions.column_names:
        return actions
    # Statistics of other writers are cut to milliseconds.
    is_older = pc.less_equal(actions[newest].cast(pa.timestamp("us", "UTC")).cast(pa.int64()), instant - 1_000)
    is_history = pc.equal(actions[empty], actions["num_records"])
    gone = pc.or_(pc.fill_null(is_older, fill_value=False), pc.fill_null(is_history, fill_value=False))
    return actions.filter(pc.invert(gone))


def null_counts(actions: pa.Table, schema: Schema) -> dict[str, int]:
    """How many NULLs each column of these files has, where all of them say so."""
    counts: dict[str, int] = {}
    told = set(actions.column_names)
    for name in schema.names:
        column: Any = actions.column(f"null_count.{name}") if f"null_count.{name}" in told else None
        if actions.num_rows == 0:
            counts[name] = 0
        elif column is not None and column.null_count == 0:
            counts[name] = sum(column.to_pylist())
    return counts
