"""The three kinds of spine as streams, each in its own order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from inseam.adapters.duckdb.relation import Compiled, read
from inseam.adapters.duckdb.session import SQL_TYPES, Limits, Session, literal, quote
from inseam.adapters.duckdb.superseded import check_upserts, standing
from inseam.adapters.duckdb.view_plan import check_names
from inseam.ir.boundaries import grid
from inseam.ir.relation import SEQUENCE, Relation
from inseam.ir.spine import RowsSpine, SnapshotsSpine, Spine, TableSpine
from inseam.ir.windows import EVENT_TIME
from inseam.kernel.errors import DataError, DefinitionError, NotFoundError
from inseam.ports.tables import Snapshot

Compile = Callable[[Relation, Session], tuple[Snapshot, Compiled]]
_STAMP = "TIMESTAMP WITH TIME ZONE"


def read_spine(limits: Limits, spine: Spine, compile_: Compile) -> pa.RecordBatchReader:
    """Keys, ``event_time``, carried columns; rows with a NULL key are left out."""
    session = Session(limits)
    try:
        if isinstance(spine, TableSpine):
            sql = _table(spine, session)
            return session.stream(sql, spine.path)
        columns = spine.columns if isinstance(spine, RowsSpine) else ()
        snapshot, source = compile_(spine.relation.asked((*spine.keys, *columns)), session)
        check_names("spine", "key", spine.keys, source.schema)
        check_upserts(spine.relation, snapshot.schema, session)
        body = standing(source.over(read(snapshot)), snapshot, spine.relation)
        if isinstance(spine, RowsSpine):
            check_names("spine", "carried", spine.columns, source.schema)
            return session.stream(_rows(spine, body), spine.relation.table)
        return session.stream(_snapshots(spine, body, session), spine.relation.table)
    except BaseException:
        session.close()
        raise


def _held(keys: tuple[str, ...], *more: str) -> str:
    return " AND ".join([f"{quote(key)} IS NOT NULL" for key in keys] + [f"{name} IS NOT NULL" for name in more])


def _rows(spine: RowsSpine, body: str) -> str:
    stamp = quote(spine.relation.timestamp)
    keys = ", ".join(quote(key) for key in spine.keys)
    carried = "".join(f", {quote(name)}" for name in spine.columns)
    return (
        f"SELECT {keys}, {EVENT_TIME}{carried} FROM"
        f" (SELECT *, CAST({stamp} AS {_STAMP}) AS {EVENT_TIME} FROM ({body}) WHERE {_held(spine.keys, stamp)})"
        f" ORDER BY {EVENT_TIME}, {SEQUENCE} NULLS FIRST"
    )


def _table(spine: TableSpine, session: Session) -> str:
    """The user's file, typed by the declared schema; a naive instant is UTC."""
    path = Path(spine.path)
    if not path.exists():
        raise NotFoundError(spine.path, "there is no such spine file")
    types = {field.name: SQL_TYPES[field.type] for field in spine.schema}
    if path.suffix.lower() in (".csv", ".tsv"):
        texts = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in types)
        found = f"read_csv({literal(spine.path)}, header = true, types = {{{texts}}})"
    else:
        found = f"read_parquet({literal(spine.path)}, hive_partitioning = false)"
    stamp = quote(spine.timestamp)
    carried = [f.name for f in spine.schema if f.name not in spine.keys and f.name != spine.timestamp]
    casts = [f"CAST({quote(name)} AS {types[name]}) AS {quote(name)}" for name in spine.keys]
    casts += [f"CAST({stamp} AS {_STAMP}) AS {EVENT_TIME}"]
    casts += [f"CAST({quote(name)} AS {types[name]}) AS {quote(name)}" for name in carried]
    lost = session.run(f"SELECT count(*) AS n FROM {found} WHERE {stamp} IS NULL AND {_held(spine.keys)}", spine.path)
    if lost["n"][0].as_py():
        raise DataError(spine.path, f"{lost['n'][0].as_py()} rows have no {spine.timestamp!r}")
    return f"SELECT {', '.join(casts)} FROM {found} WHERE {_held(spine.keys)}"


def _snapshots(spine: SnapshotsSpine, body: str, session: Session) -> str:
    """Each key at each grid instant of ``[start, end)`` that lies in ``(ts, ts + active]`` of one of its rows.

    A row covers a run of grid instants, numbered in order. Of the rows that begin to cover at one instant only the
    longest matters, and a run is cut where the key's next one begins: so runs don't overlap, nothing is compared with
    more than its neighbour, and no row is unfolded before the end.
    """
    if spine.step.microseconds == 0:
        raise DefinitionError("spine", "snapshots at every instant", expected="a step such as 1d")
    stamp = f"epoch_us(CAST({quote(spine.relation.timestamp)} AS {_STAMP}))"
    keys = ", ".join(quote(key) for key in spine.keys)
    kept = f"SELECT {keys}, {stamp} AS ts FROM ({body}) WHERE {_held(spine.keys, quote(spine.relation.timestamp))}"
    extent = session.run(f"SELECT min(ts) AS low, max(ts) AS high FROM ({kept})", "spine")
    low, high = extent["low"][0].as_py(), extent["high"][0].as_py()
    instants = np.empty(0, np.int64)
    if low is not None:
        start = low if spine.start is None else spine.start
        # The relation's extent is known up to its last row: the instant of that row is the last that is asked for.
        instants = grid(start, high + 1 if spine.end is None else spine.end, spine.step)
    session.register("grid", pa.table({"i": np.arange(instants.size), "at": instants}))
    # Numbers of the first instant after ts and of the last one within reach.
    last = f"SELECT *, {instants.size - 1} AS z FROM begun"
    if spine.active is not None:
        last = f"SELECT begun.*, grid.i AS z FROM begun ASOF JOIN grid ON ts + {spine.active} >= grid.at"
    return f"""
        WITH kept AS ({kept}),
        begun AS (SELECT kept.*, coalesce(grid.i + 1, 0) AS a FROM kept ASOF LEFT JOIN grid ON kept.ts >= grid.at),
        covered AS ({last}),
        runs AS (SELECT {keys}, a, max(z) AS z FROM covered WHERE z >= a GROUP BY {keys}, a),
        cut AS (SELECT {keys}, a, least(z, lead(a, 1, z + 1) OVER (PARTITION BY {keys} ORDER BY a) - 1) AS z FROM runs),
        spread AS (SELECT {keys}, unnest(range(a, z + 1)) AS i FROM cut)
        SELECT {keys}, make_timestamptz(grid.at) AS {EVENT_TIME} FROM spread JOIN grid USING (i)
        ORDER BY {EVENT_TIME}, {keys}
    """
