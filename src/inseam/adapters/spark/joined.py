"""A snapshot with columns of other views: the workers write its rows into the staging folder."""

from __future__ import annotations

from dataclasses import dataclass

from inseam.adapters.spark.relation import read
from inseam.adapters.spark.rows import SparkRows
from inseam.adapters.spark.session import running
from inseam.adapters.spark.staging import Staged, Staging
from inseam.adapters.spark.types import column
from inseam.ir.relation import INGESTED_AT, Relation
from inseam.ports.joined import Features, joined_schema, with_joins
from inseam.ports.tables import Snapshot


@dataclass(frozen=True)
class StagedSnapshot(Snapshot):
    """A snapshot whose files lie in the staging folder for as long as something refers to this."""

    staged: Staged


def joined_snapshot(
    session: object, relation: Relation, stored: Snapshot, staging: Staging, features: Features
) -> StagedSnapshot:
    """The table's rows as they are before the relation's transform."""
    with running(relation.table):
        frame = read(session, stored).where(column(relation.timestamp).isNotNull())
        frame = frame.select(*map(column, stored.schema.names))
    rows = SparkRows(frame, stored.schema.to_arrow(), relation.table, staging)
    found = with_joins(rows, relation, features)
    assert isinstance(found, SparkRows)
    staged = found.deposit()
    # Whether any row has an ingestion time is all that is asked.
    is_history = stored.null_counts.get(INGESTED_AT) == stored.rows
    return StagedSnapshot(
        stored.table,
        stored.version,
        tuple(staged.files),
        joined_schema(stored.schema, relation),
        staged.rows,
        staged.bytes,
        {INGESTED_AT: staged.rows} if is_history else {},
        staged,
    )
