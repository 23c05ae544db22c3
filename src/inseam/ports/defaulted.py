"""The default entity on any engine: one of which no row is known has another one's values, at its own boundary.

Whether a row is known is a value like others: the count of all rows. So a view with a default is asked for twice, for
the spine's keys and for the default's, and each row takes the one or the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from inseam.ir.aggregates import AggregateKind, AggregateSpec
from inseam.ir.relation import Joined
from inseam.ir.windows import EVENT_TIME, WindowedAggregate
from inseam.kernel.types import DataType, Field, Schema
from inseam.ports.joined import Features, with_join

if TYPE_CHECKING:
    import pyarrow as pa

    from inseam.ports.rows import Batches, Given, Rows


def with_defaults(spine: Given, views: Sequence[WindowedAggregate], features: Features) -> Rows:
    """`inseam.ports.engine.Engine.features`, by ``features`` that knows of no default entities."""
    import pyarrow as pa

    defaults = {view.name: _Default(view) for view in views if view.default is not None}
    if not defaults:
        return features(spine, views)
    whole = pa.schema([*spine.schema, *(field for view in views for field in view.schema.to_arrow())])
    rows = features(spine, [defaults[view.name].counted if view.name in defaults else view for view in views])
    for default in defaults.values():
        keyed = pa.schema([*rows.schema, *default.keys.to_arrow()])
        rows = with_join(rows.map(partial(default.with_key, keyed), keyed), default.joined, EVENT_TIME, features)
    return rows.map(partial(_chosen, whole, tuple(defaults.values())), whole)


class _Default:
    """A view with a default, and what columns are called while there are two of each: as no feature may be."""

    def __init__(self, view: WindowedAggregate) -> None:
        prefix = f"_default_{view.name}_"
        plain = replace(view, default=None)
        self._known = f"_known_{view.name}"
        self._cells = view.default or ()
        self._features = {name: f"{prefix}_{name}" for name in view.schema.names}
        self.keys = Schema(tuple(Field(prefix + key.name, key.type) for key in view.key_schema))
        self.counted = replace(
            plain, aggregates=(*view.aggregates, AggregateSpec(self._known, AggregateKind.COUNT, DataType.INT64))
        )
        self.joined = Joined(plain, tuple(zip(view.keys, self.keys.names, strict=True)), f"{prefix}_")

    def with_key(self, schema: pa.Schema, batches: Batches) -> Batches:
        """The rows, each with the default's key behind it."""
        import pyarrow as pa

        types = self.keys.to_arrow().types
        cells = [pa.scalar(cell, type_) for cell, type_ in zip(self._cells, types, strict=True)]
        for batch in batches:
            same = [pa.repeat(cell, batch.num_rows) for cell in cells]
            yield pa.record_batch([*batch.columns, *same], schema=schema)

    def chosen(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        """The view's own columns."""
        import pyarrow.compute as pc

        is_known = pc.greater(batch.column(self._known), 0)
        return {
            name: pc.if_else(is_known, batch.column(name), batch.column(other))
            for name, other in self._features.items()
        }


def _chosen(schema: pa.Schema, defaults: Sequence[_Default], batches: Batches) -> Batches:
    import pyarrow as pa

    for batch in batches:
        columns = {name: batch.column(name) for name in schema.names}
        for default in defaults:
            columns |= default.chosen(batch)
        yield pa.record_batch(list(columns.values()), schema=schema)
