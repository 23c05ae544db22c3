"""Two versions of a view held against each other: by value, and by distribution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from inseam.ir.aggregates import AggregateKind, AggregateSpec
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.errors import RefusedError
from inseam.kernel.types import DataType, Field
from inseam.ports.engine import Engine
from inseam.stages.observe.audit import draw_entities
from inseam.stages.observe.compared import SHOWN, FeatureCompared, ValueDiffers
from inseam.stages.observe.reads import Reads, differing, recompute, shown

_ROWS = AggregateSpec("inseam_rows", AggregateKind.COUNT, DataType.INT64)
"""How many rows an entity has: none where only the other version knows it."""
_QUANTILES = (0.0, 0.01, 0.25, 0.5, 0.75, 0.99, 1.0)


@dataclass(frozen=True, slots=True)
class Side:
    """A version's values, a row an entity: by feature in the forms of `encoding.to_numpy`; bool, whether it has any."""

    values: Mapping[str, np.ndarray]
    is_known: np.ndarray


def draw(engine: Engine, views: Sequence[WindowedAggregate], at: int, most: int) -> tuple[pa.Table, int]:
    """Up to ``most`` entities that some version has rows of at an instant, and how many the largest has.

    `RefusedError` where the versions are not about the same entities.
    """
    if len({view.keys for view in views}) > 1:
        raise RefusedError(
            f"feature_view:{views[0].name}",
            f"its versions have the keys {' and '.join(', '.join(view.keys) for view in views)}",
            expected="versions about one entity",
        )
    alike = {(view.relation, view.boundary(at)): view for view in views}
    drawn = [
        draw_entities(engine, view.relation, view.keys, view.boundary(at), most // len(alike) or 1)
        for view in alike.values()
    ]
    keys = pa.concat_tables([keys for keys, _ in drawn], promote_options="permissive")
    return keys.group_by(list(views[0].keys), use_threads=False).aggregate([]), max(count for _, count in drawn)


def computed(engine: Engine, view: WindowedAggregate, keys: pa.Table, at: int) -> Side:
    """A version's values for entities at an instant (UTC microseconds), as a training set would have them."""
    boundaries = np.full(keys.num_rows, view.boundary(at), np.int64)
    counted = replace(view, aggregates=(*view.aggregates, _ROWS))
    values = recompute(engine, counted, Reads(keys, boundaries, boundaries, {}))
    return Side(values, values.pop(_ROWS.name) > 0)


def both(before: WindowedAggregate, after: WindowedAggregate) -> tuple[Field, ...]:
    """The features that two versions have in one type."""
    return tuple(field for field in before.schema if after.schema.type_of(field.name) is field.type)


def compare_feature(field: Field, before: Side, after: Side) -> FeatureCompared:
    """One feature over the entities that both versions know."""
    is_known = before.is_known & after.is_known
    old, new = before.values[field.name][is_known], after.values[field.name][is_known]
    rows = len(old)
    is_old, is_new = ~_is_null(old, field.type), ~_is_null(new, field.type)
    moved = new[is_old & is_new] - old[is_old & is_new] if _is_number(field.type) else new[:0]
    quantiles = np.quantile(moved, _QUANTILES).tolist() if len(moved) else []
    return FeatureCompared(
        field.name,
        rows,
        rows - int(differing(old, new, field.type).sum()),
        rows - int(is_old.sum()),
        rows - int(is_new.sum()),
        {f"{share:g}": value for share, value in zip(_QUANTILES, quantiles, strict=False)},
        _distance(old[is_old], new[is_new], field.type),
    )


def first_differences(fields: Sequence[Field], before: Side, after: Side, keys: pa.Table) -> tuple[ValueDiffers, ...]:
    """The first values that are others, each entity's first."""
    is_known = before.is_known & after.is_known
    found: list[ValueDiffers] = []
    seen = ~is_known
    for field in fields:
        old, new = before.values[field.name], after.values[field.name]
        rows = np.flatnonzero(differing(old, new, field.type) & ~seen)[: SHOWN - len(found)]
        seen[rows] = True
        entities = keys.take(rows).to_pylist()
        found += [
            ValueDiffers(entity, field.name, shown(old[row], field.type), shown(new[row], field.type))
            for row, entity in zip(rows.tolist(), entities, strict=True)
        ]
    return tuple(found)


def _is_number(type_: DataType) -> bool:
    return type_ in (DataType.INT64, DataType.FLOAT64)


def _numbers(column: np.ndarray) -> np.ndarray:
    """In their order: instants and dates as ticks."""
    return column.astype(np.int64) if column.dtype.kind == "M" else column.astype(np.float64)


def _is_null(column: np.ndarray, type_: DataType) -> np.ndarray:
    if type_ is DataType.STRING:
        return np.fromiter((cell is None for cell in column), bool, len(column))
    nulls: np.ndarray = np.isnan(column)
    return nulls


def _distance(old: np.ndarray, new: np.ndarray, type_: DataType) -> float | None:
    """See `FeatureCompared.distance`; neither side has NULLs."""
    if not len(old) or not len(new):
        return None
    if type_ is DataType.STRING:
        names, places = np.unique(np.concatenate([old, new]).astype(str), return_inverse=True)
        shares = [np.bincount(part, minlength=len(names)) / len(part) for part in np.split(places, [len(old)])]
        return float(np.abs(shares[0] - shares[1]).sum() / 2)
    # SciPy's ks_2samp gives the same, and comes with the extra for models alone.
    old, new = np.sort(_numbers(old)), np.sort(_numbers(new))
    steps = np.concatenate([old, new])
    shares = [np.searchsorted(side, steps, side="right") / len(side) for side in (old, new)]
    return float(np.abs(shares[0] - shares[1]).max())
