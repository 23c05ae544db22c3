"""The audit of a view's reads and of on-demand features' values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from inseam.ir.on_demand import OnDemandSpec, call
from inseam.ir.relation import Relation
from inseam.ir.reservoir import Reservoir
from inseam.ir.spine import SnapshotsSpine
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.clock import Step, format_instant
from inseam.ports.engine import Engine
from inseam.ports.pin import pinned_views, versions
from inseam.ports.tables import Tables
from inseam.stages.observe.audited import SHOWN, Audited, Difference
from inseam.stages.observe.comparison import Comparer, ViewAt
from inseam.stages.observe.reads import Reads, differing, shown

FUNCTION = "function"
"""The cause of on-demand values that differ: the function doesn't give the same for the same, or what it calls
has changed."""


def audit_view(
    drawn: Audited, view: WindowedAggregate, reads: Reads, at: ViewAt, *, engine: Engine, tables: Tables, is_tiled: bool
) -> Audited:
    """Hold reads of a view against what it gives at their boundaries: see `Comparer`."""
    if not len(reads):
        return drawn
    (newest,) = pinned_views([view], versions(tables, [view.relation]))
    found = Comparer(newest, at, engine, is_tiled=is_tiled).compare(reads)
    rows = np.flatnonzero(found.differs.any(axis=1))[:SHOWN]
    entities = reads.keys.take(rows).to_pylist()
    differences = []
    for row, entity in zip(rows.tolist(), entities, strict=True):
        field = view.schema.fields[int(found.differs[row].argmax())]
        read, again = (
            shown(column[row], field.type) for column in (reads.values[field.name], found.values[field.name])
        )
        boundary = format_instant(int(reads.boundaries[row]))
        differences.append(Difference(entity, field.name, boundary, read, again, str(found.causes[row])))
    return drawn.compared(found.causes, differences)


def audit_function(
    drawn: Audited,
    spec: OnDemandSpec,
    function: Callable[..., Any],
    columns: Mapping[str, np.ndarray],
    keys: pa.Table,
) -> Audited:
    """Call an on-demand feature's function again with what was logged: ``columns`` hold its parameters,
    ``event_time`` and what it gave, in the forms of `encoding.to_numpy`.
    """
    if not keys.num_rows:
        return drawn
    again = call(spec, function, columns)
    differs = differing(columns[spec.name], again, spec.type)
    rows = np.flatnonzero(differs)[:SHOWN]
    differences = [
        Difference(
            entity, spec.name, None, shown(columns[spec.name][row], spec.type), shown(again[row], spec.type), FUNCTION
        )
        for row, entity in zip(rows.tolist(), keys.take(rows).to_pylist(), strict=True)
    ]
    return drawn.compared([FUNCTION if wrong else None for wrong in differs.tolist()], differences)


def draw_entities(
    engine: Engine, relation: Relation, keys: tuple[str, ...], boundary: int, most: int
) -> tuple[pa.Table, int]:
    """Up to ``most`` entities that have a row before a boundary, and how many there are; those too whose rows were
    all corrected away.
    """
    spine = engine.spine(SnapshotsSpine(relation.as_stored(), keys, Step(1), start=boundary, end=boundary + 1))
    schema = pa.schema([spine.schema.field(name) for name in keys])
    reservoir = Reservoir(schema, most)
    for batch in spine.reader():
        reservoir.offer(pa.Table.from_batches([batch.select(list(keys))]).drop_null())
    return reservoir.rows, reservoir.offered
