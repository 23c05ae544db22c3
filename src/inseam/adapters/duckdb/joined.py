"""A snapshot with columns of other views: its rows are written to scratch, and read as those of a table are."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pyarrow.parquet as pq

from inseam.adapters.duckdb.relation import read
from inseam.adapters.duckdb.session import BATCH_ROWS, Limits, Session, quote
from inseam.ir.relation import INGESTED_AT, Relation
from inseam.ports.joined import Features, joined_schema, with_joins
from inseam.ports.rows import StreamedRows
from inseam.ports.tables import Snapshot


def joined_snapshot(
    relation: Relation, stored: Snapshot, session: Session, limits: Limits, features: Features
) -> Snapshot:
    """The table's rows as they are before the relation's transform, for as long as ``session`` is open."""
    names = ", ".join(quote(name) for name in stored.schema.names)
    sql = f"SELECT {names} FROM ({read(stored)}) WHERE {quote(relation.timestamp)} IS NOT NULL"
    rows = StreamedRows.of(Session(limits).stream(sql, relation.table), limits.directory)
    found = with_joins(rows, relation, features).reader()
    path = session.scratch / f"{uuid.uuid4().hex}.parquet"
    with pq.ParquetWriter(str(path), found.schema, compression="lz4") as writer:
        for batch in found:
            writer.write_batch(batch, row_group_size=BATCH_ROWS)
    written = pq.read_metadata(str(path)).num_rows
    # Whether any row has an ingestion time is all that is asked.
    is_history = stored.null_counts.get(INGESTED_AT) == stored.rows
    return replace(
        stored,
        files=(str(path),),
        schema=joined_schema(stored.schema, relation),
        rows=written,
        bytes=path.stat().st_size,
        null_counts={INGESTED_AT: written} if is_history else {},
    )
