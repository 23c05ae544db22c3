"""Writes the online rows of a view: every entity's values at one boundary from one snapshot, resumably."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from inseam.ir.online_key import KeyCodec
from inseam.ir.online_row import RowCodec
from inseam.ir.records import LoadRecord, MaterializationRecord, ViewVersionRecord
from inseam.ir.spine import SnapshotsSpine
from inseam.ir.windows import EVENT_TIME, WindowedAggregate
from inseam.kernel import clock
from inseam.kernel.clock import Step
from inseam.kernel.errors import DefinitionError
from inseam.kernel.types import DataType, Field, Schema
from inseam.ports.engine import Engine
from inseam.ports.ledger import Ledger
from inseam.ports.online import OnlineStore
from inseam.ports.pin import newest_state, view_at
from inseam.ports.progress import Progress, silent
from inseam.ports.rows import Batches, Given
from inseam.ports.tables import Tables
from inseam.stages.features.mark import BEGUN, COMMITTED, Mark, online_table
from inseam.stages.features.tile_table import tile_table


def materialize(
    view: WindowedAggregate,
    fingerprint: str,
    *,
    as_of: int,
    engine: Engine,
    tables: Tables,
    store: OnlineStore,
    ledger: Ledger,
    batch_rows: int = 20_000,
    progress: Progress = silent,
) -> MaterializationRecord:
    """Write a row for every entity seen before the boundary that is readable at ``as_of`` (UTC microseconds).

    The values are from the newest snapshot, or the one that the view names: when this returns, they are online. A
    materialization that was killed goes on after its last durable batch while the boundary is still that of now and
    nothing has come that counts at it; else it begins anew, for finishing the older rows first would only put the newer
    ones off. Workers that hold the values and reach the store write them there, all of them anew after a kill. What is
    online already is not written again. While this runs, readers get for each entity the old row or the new, whole and
    under its own boundary and version. `ConflictError` while another process materializes this view, and when one has
    taken this work over from a process that slept.
    """
    if view.forward is not None:
        raise DefinitionError(f"view {view.name!r}", "it looks forward: its values are not known when they are served")
    table = online_table(view.name, fingerprint)
    with ledger.lease(f"materialize:{view.name}"):
        over = store.mark(table)
        mark = Mark.decode(over)
        version = newest_state(view, fingerprint, tables, ledger)
        goal = _goal(view, view.boundary(as_of), version, mark, ledger)
        record = _begin(view.name, fingerprint, goal, ledger)
        if mark is None or not mark.is_same_work(goal):
            if mark is not None and mark.fields != goal.fields:
                store.drop(table)
                over = None
            record = replace(record, status=BEGUN, rows=0, started_at=clock.now(), finished_at=None)
            ledger.put(record)
            store.write(table, [], goal.encode(), over=[over])
            mark = goal
        if mark.status != COMMITTED:
            pinned = view_at(view, fingerprint, mark.version, ledger)
            mark = _write(pinned, mark, table, engine, store, batch_rows, progress)
        if record.status == COMMITTED:
            return record
        record = replace(record, status=COMMITTED, rows=mark.rows, finished_at=clock.now())
        ledger.put(record)
        return record


def prune(store: OnlineStore, ledger: Ledger, keep: Collection[tuple[str, str]]) -> list[str]:
    """Drop the online tables of every (view, fingerprint) that is not in ``keep``, with their records; their names.

    `ConflictError` when one of their views is being materialized.
    """
    kept = {name(view, fingerprint) for view, fingerprint in keep for name in (online_table, tile_table)}
    dropped = sorted(set(store.tables()) - kept)
    for table in dropped:
        view, _, rest = table.rpartition("@")
        fingerprint, _, is_tiles = rest.partition("/")
        with ledger.lease(f"{'freshen' if is_tiles else 'materialize'}:{view}"):
            store.drop(table)
            for kind in (MaterializationRecord, ViewVersionRecord):
                ledger.delete(*ledger.select(kind, view=view, fingerprint=fingerprint))
    return dropped


def _goal(view: WindowedAggregate, boundary: int, version: int, mark: Mark | None, ledger: Ledger) -> Mark:
    """What is to be written: from the snapshot on which it was begun, when what came since are loads that don't count
    at the boundary; else from this one.
    """
    goal = Mark.start(view, boundary, version, 0 if mark is None else mark.erasures)
    if mark is None or mark.status == COMMITTED or mark.version > version or view.relation.joins:
        return goal
    begun = Mark.start(view, boundary, mark.version, mark.erasures)
    if not mark.is_same_work(begun):
        return goal
    source = view.relation.table.rpartition("/")[2]
    loads = {load.version: load for load in ledger.select(LoadRecord, source=source, status=COMMITTED)}
    came = [loads.get(number) for number in range(mark.version + 1, version + 1)]
    known = boundary + view.lag
    is_later = all(load is not None and not load.is_history and load.ingested_at > known for load in came)
    return begun if is_later else goal


def _begin(view: str, fingerprint: str, goal: Mark, ledger: Ledger) -> MaterializationRecord:
    """The record of this work, new or found. What was begun before and will not be finished is forgotten."""
    known = ledger.select(MaterializationRecord, view=view, fingerprint=fingerprint)
    ours = [record for record in known if (record.boundary, record.version) == (goal.boundary, goal.version)]
    ledger.delete(*(record for record in known if record.status == BEGUN and record not in ours))
    if ours:
        return ours[0]
    return MaterializationRecord(view, fingerprint, goal.boundary, goal.version, BEGUN, 0, clock.now())


def _write(
    view: WindowedAggregate,
    mark: Mark,
    table: str,
    engine: Engine,
    store: OnlineStore,
    batch_rows: int,
    progress: Progress,
) -> Mark:
    values = engine.features(_entities(view, mark, engine), [view])
    writer = _Writer(view, mark, table, store, batch_rows)
    what = f"materialize {view.name}"
    parts = partial(progress, f"{what}, parts")
    progress(what, mark.rows)
    over = mark.encode()
    if values.is_spread and store.is_shared:
        # Each worker writes what it holds. Where they got is not known in the order of the keys: the mark waits.
        mark = mark.after(sum(values.consume(writer.part, partial(progress, what), parts)))
    else:
        for rows, count in writer.batches(iter(values.reader(parts))):
            mark = mark.after(count)
            store.write(table, rows, mark.encode(), over=[over])
            over = mark.encode()
            progress(what, mark.rows)
    mark = mark.after(0, COMMITTED)
    # Who reads the default found no row of an entity's own: that there is none at this boundary is known at the end.
    store.write(table, list(writer.default(engine)), mark.encode(), over=[over])
    return mark


@dataclass(frozen=True)
class _Writer:
    """Makes online rows of a view's values, here or where they are."""

    view: WindowedAggregate
    mark: Mark
    table: str
    store: OnlineStore
    batch_rows: int

    def part(self, part: int, batches: Batches) -> int:
        """Write one part's rows; how many they are."""
        written = 0
        for rows, count in self.batches(batches):
            self.store.write(self.table, rows, over=[self.mark.encode()])
            written += count
        return written

    def default(self, engine: Engine) -> Iterator[tuple[bytes, bytes]]:
        """The row of the view's default, where it has one."""
        if self.view.default is not None:
            schema = _entity_schema(self.view)
            cells = [*self.view.default, self.mark.boundary + self.view.lag]
            columns = [pa.array([cell]).cast(type_) for cell, type_ in zip(cells, schema.types, strict=True)]
            spine = pa.Table.from_arrays(columns, schema=schema).to_reader()
            for rows, _ in self.batches(engine.features(spine, [self.view]).reader()):
                yield from rows

    def batches(self, batches: Batches) -> Iterator[tuple[list[tuple[bytes, bytes]], int]]:
        """What the store takes at once, with the number of rows."""
        view, mark = self.view, self.mark
        keys = KeyCodec(view.key_schema)
        rows = RowCodec(view.schema)
        for batch in _batches(batches, self.batch_rows):
            encoded = rows.encode(batch, mark.boundary, mark.version)
            yield list(zip(keys.batch(batch), encoded, strict=True)), batch.num_rows


def _entities(view: WindowedAggregate, mark: Mark, engine: Engine) -> Given:
    """The entities not yet written, in the order of their keys, at the instant whose boundary is the mark's.

    Those too whose rows were all corrected away: their older online rows must go. The default is written by itself.
    """
    start, schema = mark.boundary, _entity_schema(view)
    spine = engine.spine(SnapshotsSpine(view.relation.as_stored(), view.keys, Step(1), start=start, end=start + 1))
    known = spine.map(partial(_known, schema, start + view.lag, view.default), schema)
    return known if mark.rows == 0 else _after(known.reader(), mark.rows)


def _entity_schema(view: WindowedAggregate) -> pa.Schema:
    """A key and an instant."""
    return Schema((*view.key_schema, Field(EVENT_TIME, DataType.TIMESTAMP))).to_arrow()


def _known(schema: pa.Schema, instant: int, default: Sequence[Any] | None, batches: Batches) -> Batches:
    """The keys of which no part is NULL, and which are not the default's, at the instant."""
    at = pa.scalar(instant, pa.int64()).cast(schema.field(EVENT_TIME).type)
    for batch in batches:
        known = batch.select(schema.names[:-1]).drop_null()
        if default is not None:
            same = (pc.equal(column, cell) for column, cell in zip(known.columns, default, strict=True))
            known = known.filter(pc.invert(reduce(pc.and_, same)))
        if known.num_rows:
            yield pa.record_batch([*known.columns, pa.repeat(at, known.num_rows)], schema)


def _after(rows: pa.RecordBatchReader, skip: int) -> pa.RecordBatchReader:
    def rest() -> Batches:
        left = skip
        for batch in rows:
            skipped = min(left, batch.num_rows)
            left -= skipped
            if skipped < batch.num_rows:
                yield batch.slice(skipped)

    return pa.RecordBatchReader.from_batches(rows.schema, rest())


def _batches(stream: Batches, rows: int) -> Batches:
    """The stream in batches of ``rows`` (the last has what is left)."""
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in stream:
        start = 0
        while count + batch.num_rows - start >= rows:
            held.append(batch.slice(start, rows - count))
            yield pa.concat_batches(held)
            start += rows - count
            held, count = [], 0
        held.append(batch.slice(start))
        count += batch.num_rows - start
    if count:
        yield pa.concat_batches(held)
