"""The fast path: a view's aggregates by the sweep, all windows in one pass over events that are sorted once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inseam.adapters.duckdb.events import Decode, Events, cells
from inseam.adapters.duckdb.keys import Array, SpineKeys
from inseam.adapters.duckdb.sweep import Answer, Ask, Column, sweep
from inseam.adapters.duckdb.view_plan import ViewPlan
from inseam.ir.aggregates import PLACES, AggregateKind, AggregateSpec
from inseam.ir.sketch import SKETCHED, sketched
from inseam.kernel.errors import DataError
from inseam.kernel.types import DataType, arrow_type, data_type

SUM_AS_FLOAT = "sum CAST(... AS DOUBLE) by a transform of the source"
_BY_VALUE = (AggregateKind.MIN, AggregateKind.MAX, AggregateKind.TOP_K)


def sweep_view(plan: ViewPlan, events: Events, keys: SpineKeys, boundary: Array, threads: int) -> list[pa.Array]:
    """The values of the core's aggregates at each spine row, whose boundaries are ``boundary``."""
    view, specs = plan.view, plan.core.aggregates
    asks = [_ask(plan, spec) for spec in specs]
    columns: dict[str, Column] = dict(events.conditions)
    decoders: dict[str, Decode] = {}
    for ask, spec in zip(asks, specs, strict=True):
        if ask.column is not None and ask.column not in columns:
            if spec.kind in SKETCHED:
                columns[ask.column] = _sketched(spec, events.columns[spec.column or ""])
            else:
                type_ = plan.source.schema.type_of(ask.column) or DataType.STRING
                columns[ask.column], decoders[ask.column] = cells(events.columns[spec.column or ""], type_)
    is_label = view.forward is not None
    try:
        answers = sweep(
            events.key,
            events.ts,
            None if is_label else events.known,
            _load_order(events) if is_label else events.sequence,
            columns,
            keys.codes,
            boundary,
            0 if is_label else view.lag,
            0 if is_label or view.step.zone is not None else view.step.microseconds,
            asks,
            keys.count,
            threads,
        )
    except OverflowError as error:
        raise DataError(view.name, str(error), mend=SUM_AS_FLOAT) from None
    arrays = []
    takes: dict[int, _Take] = {}
    for spec, answer in zip(specs, answers, strict=True):
        if spec.kind in PLACES:
            column = events.columns[spec.column or ""]
            if id(answer) not in takes:  # alike asks have one answer
                takes[id(answer)] = _Take(answer, column)
            arrays.append(_taken(takes[id(answer)].of(column), spec))
        else:
            arrays.append(_decoded(answer, spec, decoders.get(spec.column or "") if spec.kind in _BY_VALUE else None))
    return arrays


def _ask(plan: ViewPlan, spec: AggregateSpec) -> Ask:
    column = None if spec.kind in PLACES else spec.column
    if spec.kind in SKETCHED:
        column = f"{spec.kind.value}\0{spec.column}"  # the name of no column
    mask = None if spec.where is None else plan.conditions[spec.where]
    return Ask(spec.kind.value, column, mask, plan.over(spec), spec.quantile or 0.0, spec.rank or 0)


def _sketched(spec: AggregateSpec, column: pa.ChunkedArray) -> Column:
    """The column as its sketch takes it."""
    found = sketched(spec.kind, column.combine_chunks())
    return cells(pa.chunked_array([found]), data_type(found.type))[0]


def _load_order(events: Events) -> Array | None:
    """Labels see rows however late they came, but ties still go by (ingestion time, order within the load)."""
    if events.known is None or events.sequence is None:
        return events.sequence
    order = np.lexsort((events.sequence, events.known))
    rank = np.empty(order.size, np.int64)
    # Rows that tie in both stay tied, so that the order of the files decides, as everywhere.
    known, sequence = events.known[order], events.sequence[order]
    is_new = np.ones(order.size, np.bool_)
    is_new[1:] = (known[1:] != known[:-1]) | (sequence[1:] != sequence[:-1])
    rank[order] = np.cumsum(is_new)
    return rank


class _Take:
    """Takes some rows of columns whose chunks are alike. Arrow would copy each column into one chunk first."""

    def __init__(self, answer: Answer, column: pa.ChunkedArray) -> None:
        rows, valid = answer
        wanted = rows if valid is None else rows[valid]
        lengths = np.array([len(chunk) for chunk in column.chunks], np.int64)
        ends = np.cumsum(lengths)
        chunk = np.searchsorted(ends, wanted, side="right").astype(np.min_scalar_type(ends.size))  # few bits sort fast
        order = np.argsort(chunk, kind="stable")
        self._starts = ends - lengths
        cuts = np.cumsum(np.bincount(chunk, minlength=ends.size))
        self._own = np.split(wanted[order], cuts[:-1])[: ends.size]
        place = np.empty(order.size, np.int64)
        place[order] = np.arange(order.size)
        if valid is None:
            self._back = pa.array(place)
        else:
            back = np.zeros(rows.size, np.int64)
            back[valid] = place
            self._back = pa.array(back, mask=~valid)

    def of(self, column: pa.ChunkedArray) -> pa.Array:
        """The column's cells at the rows; NULL where there is none."""
        parts = zip(column.chunks, self._own, self._starts, strict=True)
        found = [chunk.take(pa.array(own - start)) for chunk, own, start in parts if own.size]
        return pa.chunked_array(found, column.type).combine_chunks().take(self._back)


def _taken(found: pa.Array, spec: AggregateSpec) -> pa.Array:
    if spec.type is DataType.FLOAT64:
        found = pc.if_else(pc.is_nan(found), None, found)
    return found.cast(arrow_type(spec.type))


def _decoded(answer: Answer, spec: AggregateSpec, decode: Decode | None) -> pa.Array:
    values, valid = answer
    array = pa.array(values, mask=None if valid is None else ~valid)
    return (array if decode is None else decode(array)).cast(arrow_type(spec.type))
