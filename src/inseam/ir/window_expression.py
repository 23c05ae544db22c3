"""TIME.md as an Ibis expression: the general path of the windowed aggregate, for any Ibis backend.

Instants are int64 microseconds throughout, since backends differ in what they can compare and subtract otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from inseam.ir import sketch
from inseam.ir.aggregates import ALGEBRA, PLACES, AggregateKind, AggregateSpec
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.types import DataType

PAIR = "_pair"
"""Numbers the (key, boundary) pairs: int64."""
BOUNDARY = "_boundary"
"""b(t) of a pair."""
EVENT = "_event"
"""An event's ts."""
KNOWN = "_known"
"""An event's ingestion time, NULL for history; the column may be left out when it is NULL throughout."""
SUPERSEDED = "_superseded"
"""The instant from which an event no longer counts, NULL: never; the column may be left out when NULL throughout."""
ORDER = "_order"
"""A number per event by rising (ts, ingestion time, order within the load); needed for first and last."""

FloatSum = Callable[[Any, Any], Any]
"""Sum of a float column where a condition holds; a backend may bring one that loses fewer bits."""


def window_values(
    pairs: Any,
    events: Any,
    view: WindowedAggregate,
    conditions: Mapping[str, str],
    float_sum: FloatSum | None = None,
) -> Any:
    """Ibis table of `PAIR` and the view's aggregates: one row for each row of ``pairs``.

    ``pairs``: `PAIR`, the view's keys, `BOUNDARY`. ``events``: the keys, the aggregates' columns, `EVENT`, `KNOWN`,
    `SUPERSEDED`, `ORDER`, and for each ``where`` the bool column that ``conditions`` names. NULL keys match nothing.
    The column of an approximation holds the cells of `inseam.ir.sketch`.
    """
    seen = _seen(pairs, events, view)
    values, frequent = {}, {}
    for spec in view.aggregates:
        inside = _inside(seen, spec, view, conditions)
        if spec.kind is AggregateKind.TOP_K:
            frequent[spec.name] = _frequent(seen, spec, inside)
            continue
        values[spec.name] = _aggregate(seen, spec, inside, float_sum or _plain_sum)
    found = seen.group_by(PAIR).aggregate(**values)
    table = pairs.select(PAIR).left_join(found, PAIR).select(PAIR, *values)
    for name, cells in frequent.items():
        joined = table.left_join(cells, table[PAIR] == cells["_of"])
        table = joined.select(*table.columns, name)
    for spec in view.aggregates:
        if spec.kind in PLACES:
            # The aggregate found the row's number; two features may fetch from the same row, hence a view of their own.
            cells = events.select(**{ORDER: events[ORDER], "_cell": events[spec.column]}).view()
            joined = table.left_join(cells, table[spec.name] == cells[ORDER])
            table = joined.select(*(c for c in table.columns if c != spec.name), **{spec.name: cells["_cell"]})
        elif ALGEBRA[spec.kind].empty is not None:
            table = table.mutate(**{spec.name: table[spec.name].fill_null(ALGEBRA[spec.kind].empty)})
    return table.select(PAIR, *(spec.name for spec in view.aggregates))


def _over(spec: AggregateSpec, view: WindowedAggregate) -> int | None:
    return view.forward if view.forward is not None else spec.over


def _seen(pairs: Any, events: Any, view: WindowedAggregate) -> Any:
    """Each pair with each event that is in its longest window and known at its boundary."""
    inside = [pairs[key] == events[key] for key in view.keys] + [events[EVENT] < pairs[BOUNDARY]]
    overs = [_over(spec, view) for spec in view.aggregates]
    bounded = [over for over in overs if over is not None]
    if len(bounded) == len(overs):
        inside.append(events[EVENT] >= pairs[BOUNDARY] - max(bounded))
    if view.forward is None and KNOWN in events.columns:
        inside.append(events[KNOWN].isnull() | (events[KNOWN] <= pairs[BOUNDARY] + view.lag))
    if SUPERSEDED in events.columns:
        stands = events[SUPERSEDED].isnull()
        # A label is the truth: for it a row that was ever corrected never was.
        is_past = view.forward is None
        inside.append(stands | (events[SUPERSEDED] > pairs[BOUNDARY] + view.lag) if is_past else stands)
    carried = [column for column in events.columns if column not in (*view.keys, KNOWN, SUPERSEDED)]
    keys = {f"_key_{key}": events[key] for key in view.keys}
    return pairs.inner_join(events, inside).select(
        **{PAIR: pairs[PAIR], BOUNDARY: pairs[BOUNDARY]}, **{column: events[column] for column in carried}, **keys
    )


def _inside(seen: Any, spec: AggregateSpec, view: WindowedAggregate, conditions: Mapping[str, str]) -> Any:
    """Which of the seen rows this aggregate takes."""
    over = _over(spec, view)
    inside = seen[EVENT] < seen[BOUNDARY]
    if over is not None:
        inside &= seen[EVENT] >= seen[BOUNDARY] - over
    if spec.where is not None:
        inside &= seen[conditions[spec.where]].fill_null(False)
    return inside


def _aggregate(seen: Any, spec: AggregateSpec, inside: Any, float_sum: FloatSum) -> Any:
    if spec.column is None:
        return seen.count(where=inside)
    name = spec.column if spec.column in seen.columns else f"_key_{spec.column}"
    column = seen[name]
    if spec.kind in PLACES:
        order = seen[ORDER]
        if spec.rank is not None:
            return order.collect(where=inside).sort()[-spec.rank]
        return order.max(where=inside) if spec.kind is AggregateKind.LAST else order.min(where=inside)
    held = inside & column.notnull()
    match spec.kind:
        case AggregateKind.COUNT:
            return seen.count(where=held)
        case AggregateKind.SUM if spec.type is DataType.INT64:
            return column.sum(where=held).cast("int64")
        case AggregateKind.SUM:
            return float_sum(column, held)
        case AggregateKind.MEAN:
            # An empty window has a NULL sum, whatever it is divided by.
            return float_sum(column.cast("float64"), held) / seen.count(where=held).nullif(0)
        case AggregateKind.STD:
            several = seen.count(where=held) > 1
            return several.ifelse(column.cast("float64").std(how="sample", where=held), None)
        case AggregateKind.MIN:
            return column.min(where=held)
        case AggregateKind.MAX:
            return column.max(where=held)
        case AggregateKind.DISTINCT:
            return column.nunique(where=held)
        case AggregateKind.APPROX_DISTINCT:
            return _estimate(column.collect(where=held, distinct=True).sort())
        case AggregateKind.APPROX_QUANTILE:
            cells = column.collect(where=held).sort()
            return cells[((cells.length() - 1).cast("float64") * spec.quantile).floor().cast("int64")]
        case _:
            return column.cast("float64").quantile(spec.quantile, where=held)


def _frequent(seen: Any, spec: AggregateSpec, inside: Any) -> Any:
    """By pair the value of one rank among the most frequent; of equally frequent ones the least comes first."""
    import ibis

    name = spec.column if spec.column in seen.columns else f"_key_{spec.column}"
    held = seen.filter(inside, seen[name].notnull())
    counted = held.group_by(_of=held[PAIR], _cell=held[name]).aggregate(_times=held.count())
    order = [counted["_times"].desc(), counted["_cell"]]
    ranked = counted.mutate(_rank=ibis.row_number().over(group_by=counted["_of"], order_by=order))
    chosen = ranked.filter(ranked["_rank"] == (spec.rank or 1) - 1)
    return chosen.select("_of", **{spec.name: chosen["_cell"]})


def _estimate(hashes: Any) -> Any:
    """`sketch.estimates` of the different hashes of a window, ascending."""
    share = (hashes[sketch.MOST - 1] >> 10).cast("float64") * 2.0**-53
    count = hashes.length()
    return (count < sketch.MOST).ifelse(count, ((sketch.MOST - 1) / share + 0.5).floor().cast("int64"))


def _plain_sum(column: Any, inside: Any) -> Any:
    return column.sum(where=inside)
