"""A table's rows straight from its Parquet files, for a relation that leaves them as they are.

Arrow decodes them with half the work that DuckDB takes to decode and hand them over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from inseam.adapters.duckdb.keys import CODE
from inseam.adapters.duckdb.session import BATCH_ROWS, Batches, Limits
from inseam.adapters.duckdb.view_plan import ViewPlan
from inseam.ir.relation import INGESTED_AT, SEQUENCE
from inseam.ir.window_expression import EVENT, KNOWN
from inseam.kernel.types import DataType, arrow_type


def plain_rows(limits: Limits, plan: ViewPlan, since: int | None, before: int) -> Batches | None:
    """What `events.coded` selects, for a single key that is its own code; None where only DuckDB can tell.

    Row groups outside of ``since <= ts < before`` are left out; other rows of theirs are not.
    """
    relation = plan.view.relation
    if limits.files is not None or relation.transform is not None or plan.conditions or plan.has_superseded:
        return None
    columns = {CODE: plan.view.keys[0], **{name: name for name in plan.columns}, EVENT: relation.timestamp}
    columns |= ({KNOWN: INGESTED_AT} if plan.has_known else {}) | ({SEQUENCE: SEQUENCE} if plan.has_order else {})
    held = plan.snapshot.schema
    types = {name: arrow_type(type_) for name in columns.values() if (type_ := held.type_of(name)) is not None}
    if held.type_of(relation.timestamp) is not DataType.TIMESTAMP:
        return None
    try:
        files = [pq.ParquetFile(path.removeprefix("file://"), pre_buffer=False) for path in plan.snapshot.files]
    except (OSError, pa.ArrowException):
        return None  # DuckDB says what is wrong with it.
    if not files or not all(_are_held(columns.values(), types, file.schema_arrow) for file in files):
        return None
    # Instants as whole numbers: the sweep counts microseconds.
    counts = (EVENT, KNOWN)
    schema = pa.schema([(name, pa.int64() if name in counts else types[own]) for name, own in columns.items()])
    batches = _batches(files, schema, columns, (since, before), threads=limits.threads)
    return schema, batches if limits.threads == 1 else _ahead(batches)


def _are_held(names: Iterable[str], types: Mapping[str, pa.DataType], schema: pa.Schema) -> bool:
    return all(name in types and name in schema.names and schema.field(name).type == types[name] for name in names)


def _batches(
    files: Sequence[pq.ParquetFile],
    schema: pa.Schema,
    columns: Mapping[str, str],
    span: tuple[int | None, int],
    *,
    threads: int,
) -> Iterator[pa.RecordBatch]:
    held = list(dict.fromkeys(columns.values()))
    for file in files:
        with file:
            groups = _groups(file.metadata, columns[EVENT], *span)
            for batch in file.iter_batches(BATCH_ROWS, groups, held, use_threads=threads > 1):
                at = batch.column(columns[EVENT])
                rows = batch.filter(at.is_valid()) if at.null_count else batch
                arrays = [rows.column(columns[field.name]).cast(field.type) for field in schema]
                yield pa.record_batch(arrays, schema=schema)


def _ahead(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same batches; the next one is decoded while the last one is worked on."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        coming = pool.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, batches, None)
            yield batch


def _groups(metadata: pq.FileMetaData, timestamp: str, since: int | None, before: int) -> list[int]:
    """The row groups that may hold an instant of the span."""
    place = next(i for i in range(metadata.num_columns) if metadata.schema.column(i).path == timestamp)
    found = []
    for group in range(metadata.num_row_groups):
        statistics: Any = metadata.row_group(group).column(place).statistics
        is_known = statistics is not None and statistics.has_min_max
        if is_known and (statistics.min_raw >= before or (since is not None and statistics.max_raw < since)):
            continue
        found.append(group)
    return found
