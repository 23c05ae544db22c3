"""Rows of several tables in one frame: each table's columns lie in slots that the tables share by type.

So the events of all views of a key are dealt by one exchange, and a cell that one table lacks costs a bit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from inseam.adapters.spark.types import SPARK_TYPES, column
from inseam.kernel.types import DataType, Field, Schema

SIDE = "_side"
"""Which table a row is of: its place among the sides. One table alone needs no such column."""


@dataclass(frozen=True)
class Slots:
    """Where each side's columns lie."""

    sides: tuple[Schema, ...]

    @property
    def schema(self) -> Schema:
        """The slots, behind `SIDE` where there are several tables."""
        if len(self.sides) == 1:
            return self.sides[0]
        widest: Counter[DataType] = Counter()
        for side in self.sides:
            widest |= Counter(field.type for field in side)
        slots = [Field(f"{type_}_{number}", type_) for type_, count in widest.items() for number in range(count)]
        return Schema((Field(SIDE, DataType.INT64), *slots))

    def fill(self, frames: Sequence[Any], more: Sequence[Any]) -> Any:
        """The sides' frames as one, with the columns ``more`` of each before the slots."""
        from pyspark.sql import functions as f

        if len(self.sides) == 1:
            return frames[0].select(*more, *map(column, self.schema.names))
        filled = []
        for side, frame in enumerate(frames):
            held = {slot: name for name, slot in self._slots(side).items()}
            cells = [
                (column(held[slot.name]) if slot.name in held else f.lit(None).cast(SPARK_TYPES[slot.type])).alias(
                    slot.name
                )
                for slot in self.schema.fields[1:]
            ]
            filled.append(frame.select(*more, f.lit(side).cast("bigint").alias(SIDE), *cells))
        return reduce(lambda one, other: one.unionAll(other), filled)

    def take(self, rows: pa.Table) -> list[pa.Table]:
        """The sides' tables out of rows that came through `fill`."""
        if len(self.sides) == 1:
            return [rows.select(self.schema.names)]
        tables = []
        for side, schema in enumerate(self.sides):
            slots = self._slots(side)
            part = rows.filter(pc.equal(rows.column(SIDE), side)).select([slots[name] for name in schema.names])
            tables.append(part.rename_columns(list(schema.names)))
        return tables

    def _slots(self, side: int) -> dict[str, str]:
        """The slot of each of the side's columns."""
        seen: Counter[DataType] = Counter()
        found = {}
        for field in self.sides[side]:
            found[field.name] = f"{field.type}_{seen[field.type]}"
            seen[field.type] += 1
        return found
