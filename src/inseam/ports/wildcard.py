"""The rows of any spine, on any engine: what a wildcard stands for is read by the engine's own as-of operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from inseam.ir.spine import AnySpine, WildcardSpine
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.types import Field, Schema

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from inseam.ports.engine import Engine
    from inseam.ports.rows import Batches, Rows

_CELLS = 1 << 18
"""So many members are looked at together."""


def spine_rows(engine: Engine, spine: AnySpine) -> Rows:
    """`Engine.spine`; of a wildcard the rows within, in their order, each once for every member in the members' order.

    Columns: keys, the wildcard's last, ``event_time``, carried ones.
    """
    if not isinstance(spine, WildcardSpine):
        return engine.spine(spine)
    rows = engine.spine(spine.within)
    before = Schema.from_arrow(rows.schema)
    place = len(spine.within.keys)
    after = Schema((*before.fields[:place], Field(spine.key, spine.type), *before.fields[place:])).to_arrow()
    found = engine.features(rows, [_apart(spine.members, before)])
    return found.map(partial(_unfolded, after, place, len(before.fields)), after)


def _apart(view: WindowedAggregate, rows: Schema) -> WindowedAggregate:
    """The view with names that no column of the rows has."""
    longest = max(map(len, rows.names))
    named = (replace(one, name=f"{'_' * longest}{rank}") for rank, one in enumerate(view.aggregates))
    return replace(view, aggregates=tuple(named))


def _unfolded(schema: pa.Schema, place: int, width: int, batches: Batches) -> Batches:
    """Rows of ``width`` columns, their members behind them, each once for every member, which stands at ``place``."""
    import pyarrow as pa

    for batch in batches:
        most = max(1, _CELLS // (batch.num_columns - width))
        for start in range(0, batch.num_rows, most):
            part = batch.slice(start, most)
            rows, members = members_of(part.columns[width:])
            columns = part.select(range(width)).take(pa.array(rows)).columns
            yield pa.record_batch([*columns[:place], members, *columns[place:]], schema=schema)


def members_of(columns: Sequence[pa.Array]) -> tuple[np.ndarray, pa.Array]:
    """The members of each row in the order of the columns: int64 (members,) of the row that each belongs to, ascending,
    and the members themselves. ``columns`` are of one type and length.
    """
    import numpy as np
    import pyarrow as pa

    coded = pa.concat_arrays(columns).dictionary_encode()
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).reshape(len(columns), -1).T
    order = codes.argsort(axis=1, kind="stable")
    ordered = np.take_along_axis(codes, order, axis=1)
    is_first = ordered >= 0
    is_first[:, 1:] &= ordered[:, 1:] != ordered[:, :-1]
    is_member = np.empty_like(is_first)
    np.put_along_axis(is_member, order, is_first, axis=1)
    rows, ranks = is_member.nonzero()
    return rows, coded.dictionary.take(pa.array(codes[rows, ranks]))
