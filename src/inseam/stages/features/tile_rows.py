"""A view's new rows, by entity and ready to be folded into its tiles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inseam.ir.online_key import KeyCodec
from inseam.ir.relation import INGESTED_AT, SEQUENCE
from inseam.ir.tile_fold import Rows
from inseam.ir.tile_lift import UNKNOWN, lift
from inseam.ir.tiles import TileLayout
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.errors import DefinitionError
from inseam.kernel.types import DataType, Field, Schema, arrow_type
from inseam.ports.engine import Engine


@dataclass(frozen=True)
class EntityRows:
    """Rows of some entities; ``keys`` are theirs, ascending, and ``rows`` number them by it."""

    keys: list[bytes]
    rows: Rows

    def only(self, chosen: Sequence[bool]) -> EntityRows:
        """The rows of the entities that are ``chosen``."""
        if all(chosen):
            return self
        mask = np.array(chosen, bool)
        part = np.flatnonzero(mask[self.rows.entity])
        rows = Rows((np.cumsum(mask) - 1)[self.rows.entity[part]], self.rows.ts[part], self.rows.tiles.take(part))
        return EntityRows(list(compress(self.keys, chosen)), rows)

    def batches(self, entities: int, skipped: int = 0) -> Iterator[EntityRows]:
        """The same by ``entities`` at a time, without the first ``skipped``."""
        order = np.argsort(self.rows.entity, kind="stable")
        entity = self.rows.entity[order]
        for low in range(skipped, len(self.keys), entities):
            begin, end = np.searchsorted(entity, (low, low + entities))
            part = order[begin:end]
            rows = Rows(self.rows.entity[part] - low, self.rows.ts[part], self.rows.tiles.take(part))
            yield EntityRows(self.keys[low : low + entities], rows)


class RowReader:
    """Reads what a view's tiles are made of from the rows of its relation."""

    def __init__(self, view: WindowedAggregate, layout: TileLayout, engine: Engine) -> None:
        self._view = view
        self._layout = layout
        self._engine = engine
        self._codec = KeyCodec(Schema(tuple(Field(name, _type(view, name)) for name in view.keys)))
        self._columns = dict.fromkeys(m.column for m in layout.measures if m.column is not None)
        self._conditions = {m.where: f"c{i}" for i, m in enumerate(layout.measures) if m.where is not None}

    def of(self, table: pa.Table) -> EntityRows:
        """The rows that have a key and an event time, by entity. ``table``: the relation's columns and the system's."""
        view, conditions = self._view, {}
        if self._conditions:
            expressions = {name: text for text, name in self._conditions.items()}
            found = self._engine.evaluate(table.to_reader(), expressions).reader().read_all()
            conditions = {text: found[name] for text, name in self._conditions.items()}
        kept = pc.is_valid(table[view.relation.timestamp])
        for name in view.keys:
            kept = pc.and_(kept, pc.is_valid(table[name]))
        table = table.filter(kept)
        passing = {text: _booleans(column.filter(kept)) for text, column in conditions.items()}
        keys, entity = self._entities(table)
        place = {
            "ts": _integers(table[view.relation.timestamp].cast(arrow_type(DataType.TIMESTAMP))),
            "known": _integers(table[INGESTED_AT]),
            "seq": _integers(table[SEQUENCE]),
        }
        columns = {
            name: _whole(table[name].cast(arrow_type(_type(view, name)))) for name in self._columns if name is not None
        }
        return EntityRows(keys, Rows(entity, place["ts"], lift(self._layout, columns, passing, place)))

    def _entities(self, table: pa.Table) -> tuple[list[bytes], np.ndarray]:
        keys: list[bytes] = []
        for batch in table.select(list(self._view.keys)).to_batches():
            keys += self._codec.batch(batch)
        coded = pa.array(keys, pa.binary()).dictionary_encode()
        order = pc.array_sort_indices(coded.dictionary)
        rank = np.empty(len(order), np.int64)
        rank[order.to_numpy()] = np.arange(len(order))
        return coded.dictionary.take(order).to_pylist(), rank[coded.indices.to_numpy()]


def _type(view: WindowedAggregate, name: str) -> DataType:
    type_ = view.relation.schema.type_of(name)
    if type_ is None:
        raise DefinitionError(f"view {view.name!r}", f"{name!r} is no column of {view.relation.table}")
    return type_


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _integers(column: pa.ChunkedArray) -> np.ndarray:
    numbers = pc.fill_null(column.cast(pa.int64()), UNKNOWN)
    return np.asarray(numbers.to_numpy())


def _booleans(column: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(pc.fill_null(column.cast(pa.bool_()), fill_value=False).to_numpy()).astype(bool)
