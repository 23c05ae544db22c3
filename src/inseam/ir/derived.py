"""Derived features: values computed from other aggregates of the view at the same boundary, one way on every path.

    ratio(a, b)           a / b as float64, NULL where b is 0
    difference(a, b)      a - b as float64
    time_since_last       seconds from the newest row to the boundary; its part is the greatest event time
    time_since_first      seconds from the oldest row to the boundary; its part is the least

NULL where a part is NULL. An engine computes the `core` of a view and then calls `finished`, and so do tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from inseam.ir.aggregates import AggregateKind, AggregateSpec
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.clock import SECOND

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_Column = Callable[[Mapping[str, "pa.Array"], "np.ndarray"], "pa.Array"]
Finish = Callable[[Mapping[str, "pa.Array"], "np.ndarray"], dict[str, "pa.Array"]]
_TIMES = (AggregateKind.TIME_SINCE_FIRST, AggregateKind.TIME_SINCE_LAST)
_HIDDEN = "_part_"
"""Begins the names of parts that are no features of the view themselves."""


def core(view: WindowedAggregate) -> WindowedAggregate:
    """The view with what its features are computed from instead of those that are derived."""
    own = tuple(spec for spec in view.aggregates if not spec.parts)
    if len(own) == len(view.aggregates):
        return view
    hidden = tuple(replace(part, name=name) for part, name in _names(view).items() if name.startswith(_HIDDEN))
    return replace(view, aggregates=own + hidden)


def finished(view: WindowedAggregate, values: Mapping[str, pa.Array], boundary: np.ndarray) -> dict[str, pa.Array]:
    """The view's columns in its order, from the columns of its `core` by name.

    ``boundary``: int64, each row's own; of a label the end of its window.
    """
    return finisher(view)(values, boundary)


def finisher(view: WindowedAggregate) -> Finish:
    """`finished` of one view, for many calls."""
    names = _names(view)

    def column(spec: AggregateSpec) -> _Column:
        if not spec.parts:
            name = names[_unnamed(spec)]
            return lambda values, _: values[name]
        parts = [column(part) for part in spec.parts]
        return lambda values, boundary: _derived(spec.kind, [part(values, boundary) for part in parts], boundary)

    columns = {spec.name: column(spec) for spec in view.aggregates}
    return lambda values, boundary: {name: value(values, boundary) for name, value in columns.items()}


def _names(view: WindowedAggregate) -> dict[AggregateSpec, str]:
    """Under which name the core has each aggregate that is not derived, by its meaning."""
    found: dict[AggregateSpec, str] = {}
    for spec in view.aggregates:
        if not spec.parts:
            found.setdefault(_unnamed(spec), spec.name)
    for part in _leaves([spec for spec in view.aggregates if spec.parts]):
        found.setdefault(_unnamed(part), f"{_HIDDEN}{len(found)}")
    return found


def _leaves(specs: Sequence[AggregateSpec]) -> Iterator[AggregateSpec]:
    for spec in specs:
        if spec.parts:
            yield from _leaves(spec.parts)
        else:
            yield spec


def _unnamed(spec: AggregateSpec) -> AggregateSpec:
    return replace(spec, name="")


def _derived(kind: AggregateKind, parts: Sequence[pa.Array], boundary: np.ndarray) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    columns = [part.to_numpy(zero_copy_only=False) for part in parts]
    if kind in _TIMES:
        instant = columns[0].astype("datetime64[us]")
        found = np.where(np.isnat(instant), np.nan, (boundary - instant.astype(np.int64)) / SECOND)
    else:
        one, other = (column.astype(np.float64) for column in columns)  # NaN stands for NULL
        with np.errstate(all="ignore"):
            found = one - other if kind is AggregateKind.DIFFERENCE else one / np.where(other == 0.0, np.nan, other)
    return pa.array(found, mask=np.isnan(found))
