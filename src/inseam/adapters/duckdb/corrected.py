"""Values over rows of which some were corrected: by the sweep wherever only what stands for ever counts.

That is every label, every key that was never corrected, and of the others every boundary since its last correction.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from inseam.adapters.duckdb import fast, general
from inseam.adapters.duckdb.events import coded, gather, numbers
from inseam.adapters.duckdb.keys import CODE, Array, SpineKeys
from inseam.adapters.duckdb.session import Session, quote
from inseam.adapters.duckdb.view_plan import ViewPlan
from inseam.ir.window_expression import SUPERSEDED

_STANDING = f"SELECT * FROM upserted WHERE {SUPERSEDED} IS NULL"


def query_view(
    session: Session, plan: ViewPlan, source: str, keys: SpineKeys, boundary: Array, threads: int
) -> list[pa.Array]:
    """The view's values at each spine row, in the order of its aggregates."""
    with session.errors(plan.view.name):
        # Read once: a source may be a stream.
        session.connection.execute(f"CREATE OR REPLACE TEMP TABLE upserted AS {source}")
    standing = session.batches(coded(plan, _STANDING, keys), plan.view.name)
    swept = fast.sweep_view(plan, gather(plan, standing, keys), keys, boundary, threads)
    places = _before_corrections(session, plan, keys, boundary)
    if places.size:
        same = ", ".join(quote(name) for name in keys.names)
        touched = (
            f"SELECT * FROM upserted SEMI JOIN (SELECT * FROM upserted WHERE {SUPERSEDED} IS NOT NULL) USING ({same})"
        )
        few = replace(keys, codes=keys.codes[places])
        found = general.query_view(session, plan, plan.core.aggregates, touched, few, boundary[places])
        swept = [_put(values, places, other) for values, other in zip(swept, found, strict=True)]
    session.run("DROP TABLE upserted", plan.view.name)
    return swept


def _before_corrections(session: Session, plan: ViewPlan, keys: SpineKeys, boundary: Array) -> Array:
    """The spine rows at which a row may count that no longer does."""
    if plan.view.forward is not None:
        return np.empty(0, np.int64)
    session.register("keys", keys.table)
    same = " AND ".join(f"e.{quote(name)} = k.{quote(name)}" for name in keys.names)
    latest = session.run(
        f"SELECT {CODE}, max({SUPERSEDED}) AS at FROM upserted e JOIN keys k ON {same}"
        f" WHERE {SUPERSEDED} IS NOT NULL GROUP BY {CODE}",
        plan.view.name,
    )
    until = np.full(keys.count + 1, np.iinfo(np.int64).min)
    # The last place stays empty: it is the one that -1, a NULL key, names.
    until[numbers(latest[CODE])] = numbers(latest["at"])
    return np.flatnonzero(boundary + plan.view.lag < until[keys.codes])


def _put(values: pa.Array, places: Array, other: pa.Array) -> pa.Array:
    """``values`` with those at ``places`` replaced."""
    index = np.arange(len(values))
    index[places] = len(values) + np.arange(places.size)
    return pa.concat_arrays([values, other.cast(values.type)]).take(pa.array(index))
