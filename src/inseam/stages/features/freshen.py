"""Keeps a view's tiles fresh: the rows that became known since the last boundary, folded into what is online."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import compress

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from inseam.ir.arrival import known_after
from inseam.ir.relation import INGESTED_AT
from inseam.ir.tile_fold import Heads, boundary_of, fold, touched
from inseam.ir.tile_key import chunk_key, head_key
from inseam.ir.tile_lift import UNKNOWN
from inseam.ir.tiles import TileLayout
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.errors import DefinitionError, RefusedError
from inseam.ports.engine import Engine
from inseam.ports.online import OnlineStore
from inseam.ports.progress import Progress, silent
from inseam.ports.tables import Tables
from inseam.stages.features.tile_rows import EntityRows, RowReader
from inseam.stages.features.tile_table import APPLIED, Shape, TileMark, applied, drop_tiles, tile_table


@dataclass(frozen=True, slots=True)
class Freshened:
    """A view after a step: the boundary that is readable, its snapshot, and what the step folded.

    An entity whose rows came in several batches of a build counts as often.
    """

    view: str
    boundary: int
    version: int
    rows: int
    entities: int


class Freshener:
    """The one writer of a view's tiles: whoever makes steps holds the view's lease. One that lost it while it slept is
    stopped by the mark, over which each of its writes goes (`ConflictError`).

    A step that was killed is finished by the next, from the snapshot on which it began, entity by entity: a head that
    names the boundary already has its rows. A build that was killed goes on too, or begins anew where a write is whole
    for an entity alone: its batches may share entities.
    """

    def __init__(
        self,
        view: WindowedAggregate,
        fingerprint: str,
        *,
        engine: Engine,
        tables: Tables,
        store: OnlineStore,
        batch_rows: int = 200_000,
        batch_entities: int = 5_000,
        progress: Progress = silent,
    ) -> None:
        if view.forward is not None:
            raise DefinitionError(
                f"view {view.name!r}", "it looks forward: its values are not known when they are served"
            )
        if view.relation.upserts is not None:
            raise RefusedError(
                f"feature_view:{view.name}",
                "its rows replace one another, which tiles can't take back",
                mend="serve it from materialized rows: leave stream out of its source",
            )
        self.view = view
        self._engine, self._tables, self._store = engine, tables, store
        self._table = tile_table(view.name, fingerprint)
        self._layout = TileLayout.of(view)
        self._reader = RowReader(view, self._layout, engine)
        self._batch_rows, self._batch_entities = batch_rows, batch_entities
        self._progress = progress
        self._over: bytes | None = None
        """The mark that the table has, if nobody else writes."""

    @property
    def boundary(self) -> int | None:
        """The newest boundary that is readable; None before the first."""
        mark = TileMark.decode(self._store.mark(self._table))
        return None if mark is None else mark.boundary

    def step(self, through: int, history: int) -> Freshened:
        """Make the newest boundary readable whose rows are all known at ``through`` (UTC microseconds).

        Every row that is stamped at or before ``through`` is in the table, and stays. ``history`` is the number of
        loads of history so far: rows that count as known at their event time change values of the past, so that the
        tiles are built anew when there is another.
        """
        self._over = self._store.mark(self._table)
        mark = TileMark.decode(self._over)
        version = self._tables.snapshot(self.view.relation.table).version
        goal = self.view.boundary(through)
        shape = Shape.of(self._layout)
        if mark is None or (mark.shape, mark.history) != (shape, history) or self._is_torn(mark):
            drop_tiles(self._store, self._table, self._over)
            self._over = None
            mark = TileMark(
                None, version, is_whole=False, history=history, shape=shape, target=goal, target_version=version
            )
            self._write([], mark)
        rows = entities = 0
        if mark.target is not None:  # begun, and perhaps killed
            mark, rows, entities = self._build(mark) if mark.boundary is None else self._apply(mark)
        if mark.boundary is not None and mark.boundary < goal:
            mark, more, changed = self._apply(msgspec.structs.replace(mark, target=goal, target_version=version))
            rows, entities = rows + more, entities + changed
        assert mark.boundary is not None  # a build or a step has just ended
        return Freshened(self.view.name, mark.boundary, mark.version, rows, entities)

    def _is_torn(self, mark: TileMark) -> bool:
        """Whether a batch of a build may be there in part, with nothing that says which."""
        return mark.boundary is None and not self._store.is_one_state

    def _apply(self, mark: TileMark) -> tuple[TileMark, int, int]:
        """The rows between the mark's boundary and its target, all of an entity's at once."""
        assert mark.boundary is not None and mark.target is not None
        if mark.is_whole and mark.target_version == mark.version:
            return self._end(mark, [], is_whole=True), 0, 0
        since = mark.boundary + self.view.lag
        relation = replace(self.view.relation.at(mark.target_version), since=since)
        arrived = self._engine.scan(relation, where=known_after(since)).reader().read_all()
        inside = pc.less_equal(arrived[INGESTED_AT].cast(pa.int64()), mark.target + self.view.lag)
        table = arrived.filter(inside)
        is_whole = table.num_rows == arrived.num_rows
        found = self._reader.of(table)
        pending: list[tuple[bytes, bytes | None]] = []
        for batch in found.batches(self._batch_entities, mark.done):
            if pending:
                self._write(pending, mark)
            pending = self._folded(batch, mark, skips_done=True)
            mark = msgspec.structs.replace(mark, done=mark.done + len(batch.keys))
        return self._end(mark, pending, is_whole=is_whole), table.num_rows, len(found.keys)

    def _build(self, mark: TileMark) -> tuple[TileMark, int, int]:
        """The whole of a snapshot as far as it is known at the target. Nothing is readable before the end."""
        assert mark.target is not None
        began, entities, has_later = mark.done, 0, False
        for table in self._batches(mark):
            known = pc.fill_null(table[INGESTED_AT].cast(pa.int64()), UNKNOWN)  # history is known from the beginning
            kept = table.filter(pc.less_equal(known, mark.target + self.view.lag))
            has_later = has_later or kept.num_rows < table.num_rows
            mark = msgspec.structs.replace(mark, done=mark.done + table.num_rows)
            found = self._reader.of(kept)
            entities += len(found.keys)
            self._write(self._folded(found, mark, skips_done=False), mark)
            self._progress(f"build {self.view.name}", mark.done)
        # What an earlier process left out it has not told.
        return self._end(mark, [], is_whole=began == 0 and not has_later), mark.done - began, entities

    def _batches(self, mark: TileMark) -> Iterator[pa.Table]:
        held: list[pa.RecordBatch] = []
        count, skip = 0, mark.done
        stream = self._engine.scan(self.view.relation.at(mark.target_version)).reader()
        for batch in stream:
            skipped, skip = min(skip, batch.num_rows), max(0, skip - batch.num_rows)
            held.append(batch.slice(skipped))
            count += held[-1].num_rows
            if count >= self._batch_rows:
                yield pa.Table.from_batches(held, stream.schema)
                held, count = [], 0
        if count:
            yield pa.Table.from_batches(held, stream.schema)

    def _folded(self, batch: EntityRows, mark: TileMark, *, skips_done: bool) -> list[tuple[bytes, bytes | None]]:
        """The heads and chunks of some entities with their new rows in them; not of those that have them already."""
        assert mark.target is not None
        held = self._store.read([self._table], [[head_key(key) for key in batch.keys]])[0]
        if skips_done:
            is_new = [head is None or boundary_of(head) != mark.target for head in held]
            batch, held = batch.only(is_new), list(compress(held, is_new))
        if not batch.keys:
            return []
        keys = [head_key(key) for key in batch.keys]
        heads = Heads(self._layout, held)
        places = touched(self._layout, heads, batch.rows, mark.target)
        asked = [chunk_key(batch.keys[entity], start) for entity, start in places]
        chunks = dict(zip(places, self._store.read([self._table], [asked])[0], strict=True)) if places else {}
        made = fold(self._layout, heads, chunks, batch.rows, mark.target, mark.target_version)
        moved = [(chunk_key(batch.keys[entity], start), body) for (entity, start), body in made.chunks.items()]
        return [*zip(keys, made.heads, strict=True), *moved]

    def _end(self, mark: TileMark, rows: list[tuple[bytes, bytes | None]], *, is_whole: bool) -> TileMark:
        """The target is applied: the last rows, and then what says so, which no reader may see before them."""
        assert mark.target is not None
        if rows:
            self._write(rows, mark)
        ended = TileMark(mark.target, mark.target_version, is_whole, mark.history, mark.shape, erasures=mark.erasures)
        said = (APPLIED, applied(mark.target, mark.target_version, self._layout))
        self._write([said], ended)
        return ended

    def _write(self, rows: list[tuple[bytes, bytes | None]], mark: TileMark) -> None:
        text = mark.encode()
        self._store.write(self._table, rows, text, over=[self._over])
        self._over = text
