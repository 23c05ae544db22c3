"""How columns of another view come to the rows of a relation, on any engine: by its own as-of operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from inseam.ir.relation import Joined, Relation
from inseam.ir.windows import EVENT_TIME, WindowedAggregate
from inseam.kernel.types import DataType, Schema

if TYPE_CHECKING:
    import pyarrow as pa

    from inseam.ports.rows import Batches, Given, Rows

Features = Callable[["Given", Sequence[WindowedAggregate]], "Rows"]
"""`inseam.ports.engine.Engine.features`."""


def joined_schema(stored: Schema, relation: Relation) -> Schema:
    """The columns before the transform: those of the table, then those of each join."""
    return Schema((*stored, *(field for joined in relation.joins for field in joined.schema)))


def with_joins(rows: Rows, relation: Relation, features: Features) -> Rows:
    """The table's rows, each with an instant, and behind their own columns those of every join; in their order."""
    for joined in relation.joins:
        rows = with_join(rows, joined, relation.timestamp, features)
    return rows


def with_join(rows: Rows, joined: Joined, timestamp: str, features: Features) -> Rows:
    """The rows in their order, each with an instant in the column ``timestamp``, and behind them what is joined."""
    before = Schema.from_arrow(rows.schema)
    spine = _Spine(before, timestamp, joined)
    after = Schema((*before, *joined.schema)).to_arrow()
    asked = rows.map(spine.of, spine.schema.to_arrow())
    return features(asked, [joined.view]).map(partial(spine.back, after), after)


class _Spine:
    """Rows as the spine of a view: their columns under names that it cannot have, its keys, and their instants."""

    def __init__(self, rows: Schema, timestamp: str, joined: Joined) -> None:
        longest = max(len(key) for key, _ in joined.on)
        self._carried = {f"{'_' * longest}{place}": name for place, name in enumerate(rows.names)}
        self._columns = self._carried | dict(joined.on) | {EVENT_TIME: timestamp}
        types = {name: rows.type_of(column) or DataType.STRING for name, column in self._columns.items()}
        self.schema = Schema.of((types | {EVENT_TIME: DataType.TIMESTAMP}).items())

    def of(self, batches: Batches) -> Batches:
        import pyarrow as pa

        schema = self.schema.to_arrow()
        for batch in batches:
            columns = [batch.column(column) for column in self._columns.values()]
            yield pa.record_batch([c.cast(f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)

    def back(self, schema: pa.Schema, batches: Batches) -> Batches:
        """The rows again, the view's values behind them."""
        import pyarrow as pa

        for batch in batches:
            found = [batch.column(name) for name in self._carried]
            yield pa.record_batch([*found, *batch.columns[len(self._columns) :]], schema=schema)
