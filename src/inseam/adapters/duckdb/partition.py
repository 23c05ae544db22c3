"""Features out of core: spine and events dealt by a hash of the key into files, and answered file by file.

A key's rows are all in one file and in their old order, so its values are the same bits as in memory. A file that is
too large all the same, because of a key that very many rows have, is answered in slices of time (`slices`): sums and
deviations of floats may then differ in their last bit, where their cells are of very different size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inseam.adapters.duckdb.features import Source, Work, boundary_of, compute, instants, span
from inseam.adapters.duckdb.keys import CODE, Array
from inseam.adapters.duckdb.rows import ROW, numbered
from inseam.adapters.duckdb.session import BATCH_ROWS, DUCKDB_SHARE, SQL_TYPES, Batches, Limits, Session, quote
from inseam.adapters.duckdb.slices import Slices
from inseam.adapters.duckdb.spill import PART, Merge, Parts, read_stream
from inseam.adapters.duckdb.view_plan import ViewPlan
from inseam.ir.window_expression import EVENT
from inseam.ir.windows import EVENT_TIME
from inseam.kernel.errors import DataError

MOST_PARTS = 256
"""Each part of each view is an open file while events are dealt."""
_LEAST_ROOM = 64 << 20
"""Below this no limit is heeded: it is lost in what the process needs anyway."""


@dataclass(frozen=True, slots=True)
class SpilledSpine:
    """The spine on disk, with what had to be learnt of it on the way."""

    path: Path
    rows: int
    bytes: int
    earliest: int
    latest: int


def partitioned(
    session: Session, limits: Limits, works: Sequence[Work], spine: pa.RecordBatchReader, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """The spine's rows in their order with the values of all views."""
    try:
        held = _spill_spine(session, spine)
        if held.rows == 0:
            return
        merges = [_answer(session, limits, work, held, number) for number, work in enumerate(works)]
        row = 0
        for batch in read_stream(held.path):
            row += batch.num_rows
            columns = {name: batch.column(name) for name in batch.schema.names}
            for merge in merges:
                table = merge.take_until(row)
                columns |= {name: table.column(name).combine_chunks() for name in table.column_names}
            yield pa.record_batch([columns[name] for name in schema.names], schema=schema)
    finally:
        session.close()


def _spill_spine(session: Session, spine: pa.RecordBatchReader) -> SpilledSpine:
    path = session.scratch / "spine.arrow"
    rows = size = 0
    earliest, latest = np.iinfo(np.int64).max, np.iinfo(np.int64).min
    with pa.ipc.new_stream(str(path), spine.schema) as writer:
        for batch in spine:
            if batch.num_rows == 0:
                continue
            at = _at(batch)
            earliest, latest = min(earliest, int(at.min())), max(latest, int(at.max()))
            rows, size = rows + batch.num_rows, size + batch.nbytes
            for start in range(0, batch.num_rows, BATCH_ROWS):
                writer.write_batch(batch.slice(start, BATCH_ROWS))
    return SpilledSpine(path, rows, size, earliest, latest)


def _answer(session: Session, limits: Limits, work: Work, spine: SpilledSpine, number: int) -> Merge:
    """The values of views that share their keys, on disk, ready to be put beside the spine."""
    folder = session.scratch / f"keys_{number}"
    count = _parts(limits, work, spine)
    reads = _deal_spine(session, work, spine, folder, count)
    events = [
        _deal_events(session, plan, spine, folder / f"events_{place}", count) for place, plan in enumerate(work.plans)
    ]
    fields = [field for plan in work.plans for field in plan.view.schema.to_arrow()]
    answers = Parts(folder / "answers", pa.schema([pa.field(ROW, pa.int64()), *fields]))
    for part in range(count):

        def spilled(session: Session, plan: ViewPlan, since: int | None, before: int, part: int = part) -> str:
            session.register("spilled", events[work.plans.index(plan)].reader(part))
            inside = f"{EVENT} < {before}" + ("" if since is None else f" AND {EVENT} >= {since}")
            return f"SELECT * FROM spilled WHERE {inside}"

        def plain(plan: ViewPlan, since: int | None, before: int, part: int = part) -> Batches:
            return _as_coded(plan, events[work.plans.index(plan)].reader(part), since, before)

        for table in _pieces(limits, work, spine, reads, events, part):
            found = compute(session, work, table, Source(spilled, plain))
            columns = [table.column(ROW), *(found[field.name] for field in fields)]
            # Small batches: the merge holds one of each part.
            answers.add(pa.table(columns, schema=answers.schema), max(BATCH_ROWS // count, 1024))
        for parts in (reads, *events):
            parts.forget(part)
    return Merge(answers)


def _as_coded(plan: ViewPlan, rows: pa.RecordBatchReader, since: int | None, before: int) -> Batches:
    """Dealt events of a span as `events.coded` selects them, for a single key that is its own code."""
    (key,) = plan.view.keys
    own = [name for name in rows.schema.names if name != key or name in plan.columns]
    schema = pa.schema([rows.schema.field(key).with_name(CODE), *(rows.schema.field(name) for name in own)])

    def coded() -> Iterator[pa.RecordBatch]:
        for batch in rows:
            at = batch.column(EVENT).to_numpy()
            # A slice of time must not take the memory of them all.
            inside = (at < before) & (True if since is None else at >= since)
            kept = batch if inside.all() else batch.filter(pa.array(inside))
            yield pa.record_batch([kept.column(key), *(kept.column(name) for name in own)], schema=schema)

    return schema, coded()


def _pieces(
    limits: Limits, work: Work, spine: SpilledSpine, reads: Parts, events: Sequence[Parts], part: int
) -> Iterator[pa.Table]:
    """The spine's rows of one part: at once, or where they and their events don't fit, a slice of time at a time."""
    room = max(int(limits.memory * (1 - DUCKDB_SHARE)), _LEAST_ROOM)
    sizes = [plan.row_bytes * dealt.rows[part] for plan, dealt in zip(work.plans, events, strict=True)]
    if reads.rows[part] * work.spine_row_bytes + max(sizes) <= room:
        yield reads.reader(part).read_all()
        return
    cut = Slices(work.plans, spine.earliest, spine.latest, work.spine_row_bytes, room).cut(
        (_at(batch) for batch in reads.reader(part)),
        [(batch.column(EVENT).to_numpy() for batch in dealt.reader(part)) for dealt in events],
    )
    for piece in cut:
        batches = []
        for batch in reads.reader(part):
            at = _at(batch)
            batches.append(batch.filter(pa.array((at >= piece.since) & (at < piece.until))))
        yield pa.Table.from_batches(batches)


def _at(batch: pa.RecordBatch) -> Array:
    return instants(pa.chunked_array([batch.column(EVENT_TIME)]))


def _parts(limits: Limits, work: Work, spine: SpilledSpine) -> int:
    """So many that one part's spine, events and values take a third of the memory."""
    size = spine.rows * work.spine_row_bytes + max(plan.event_bytes for plan in work.plans)
    return min(max(2, -(-3 * size // limits.memory)), MOST_PARTS)


def _part_of(plan: ViewPlan, count: int) -> str:
    keys = ", ".join(f"CAST({quote(f.name)} AS {SQL_TYPES[f.type]})" for f in plan.key_fields)
    return f"CAST(hash({keys}) % {count} AS SMALLINT) AS {PART}"


def _deal_spine(session: Session, work: Work, spine: SpilledSpine, folder: Path, count: int) -> Parts:
    first = work.plans[0]
    session.register("spine", numbered(read_stream(spine.path)))
    names = list(dict.fromkeys((*first.view.keys, EVENT_TIME, ROW)))
    selected = ", ".join(quote(name) for name in names)
    # DuckDB reports a key that does not fit the view's type; compute would say it better, but later.
    schema, batches = session.batches(f"SELECT {selected}, {_part_of(first, count)} FROM spine", "spine")
    parts = Parts(folder / "spine", pa.schema([schema.field(name) for name in names]))
    last = -1

    def in_order() -> Iterator[pa.RecordBatch]:
        nonlocal last
        for batch in batches:
            rows = batch.column(ROW)
            if batch.num_rows and rows[0].as_py() != last + 1:
                raise DataError("spine", "its rows lost their order while they were dealt", mend="report this")
            last = pc.max(rows).as_py() if batch.num_rows else last
            yield batch

    parts.deal(in_order(), count)
    return parts


def _deal_events(session: Session, plan: ViewPlan, spine: SpilledSpine, folder: Path, count: int) -> Parts:
    since, before = span(plan, boundary_of(plan, np.array([spine.earliest, spine.latest])))
    held = " AND ".join(f"{quote(key)} IS NOT NULL" for key in plan.view.keys)
    sql = f"SELECT *, {_part_of(plan, count)} FROM ({plan.events(since, before)}) WHERE {held}"
    schema, batches = session.batches(sql, plan.view.name)
    parts = Parts(folder, pa.schema([field for field in schema if field.name != PART]))
    parts.deal(batches, count)
    return parts
