"""Rows that others took the place of: which they are, and since when."""

from __future__ import annotations

from inseam.adapters.duckdb.expression import check_condition
from inseam.adapters.duckdb.relation import read
from inseam.adapters.duckdb.session import Session, quote
from inseam.ir.relation import INGESTED_AT, SEQUENCE, Relation, Upserts
from inseam.ir.window_expression import SUPERSEDED
from inseam.kernel.errors import DefinitionError
from inseam.kernel.names import did_you_mean
from inseam.kernel.types import Schema
from inseam.ports.tables import Snapshot


def check_upserts(relation: Relation, schema: Schema, session: Session) -> None:
    """`DefinitionError` when the table, whose columns are ``schema``, lacks what tells its rows apart."""
    upserts = relation.upserts
    if upserts is None:
        return
    for name in (*upserts.key, upserts.timestamp):
        if name not in schema:
            found = f"there is no column {name!r}, by which its rows supersede each other"
            raise DefinitionError(relation.table, found, mend=did_you_mean(name, schema.names))
    if upserts.deleted is not None:
        check_condition(upserts.deleted, schema, relation.table, session)


def superseded(snapshot: Snapshot, upserts: Upserts) -> str:
    """SELECT of `SEQUENCE` and `SUPERSEDED` (microseconds) of the rows that do not stand for ever.

    Keys that occur once are put aside by an aggregate, which is cheap; only the rows of the others are sorted.
    """
    keys = ", ".join(quote(name) for name in upserts.key)
    whole = " AND ".join(f"{quote(name)} IS NOT NULL" for name in upserts.key)
    known = f"epoch_us(coalesce({quote(INGESTED_AT)}, CAST({quote(upserts.timestamp)} AS TIMESTAMP WITH TIME ZONE)))"
    gone = "false" if upserts.deleted is None else f"coalesce(({upserts.deleted}\n), false)"
    loaded = f"ORDER BY {INGESTED_AT} NULLS FIRST, {SEQUENCE}"
    later = f"PARTITION BY {keys} {loaded} ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING"
    return f"""
        WITH whole AS (
            SELECT {keys}, {SEQUENCE}, {INGESTED_AT}, {known} AS _at, {gone} AS _gone
            FROM ({read(snapshot)}) WHERE {whole}),
        several AS (SELECT {keys} FROM whole GROUP BY {keys} HAVING count(*) > 1 OR bool_or(_gone)),
        ends AS (
            SELECT {SEQUENCE}, least(min(_at) OVER ({later}), CASE WHEN _gone THEN _at END) AS {SUPERSEDED}
            FROM whole SEMI JOIN several USING ({keys}))
        SELECT * FROM ends WHERE {SUPERSEDED} IS NOT NULL
    """


def standing(body: str, snapshot: Snapshot, relation: Relation) -> str:
    """SELECT of those rows of ``body``, the relation's, that stand for ever: the truth as far as it is known."""
    if relation.upserts is None:
        return body
    return f"SELECT * FROM ({body}) ANTI JOIN ({superseded(snapshot, relation.upserts)}) USING ({SEQUENCE})"
