"""The aggregates: what each takes and gives. One table, read by the checker, every engine and the oracle's tests."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from inseam.kernel.types import DataType


class AggregateKind(StrEnum):
    """NULL cells are ignored by all but `PLACES`, which take the cell of the row they name, NULL or not."""

    COUNT = "count"
    SUM = "sum"
    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    STD = "std"
    FIRST = "first"
    LAST = "last"
    DISTINCT = "distinct"
    QUANTILE = "quantile"
    RATIO = "ratio"
    DIFFERENCE = "difference"
    TIME_SINCE_FIRST = "time_since_first"
    TIME_SINCE_LAST = "time_since_last"
    LAST_N = "last_n"
    TOP_K = "top_k"
    APPROX_DISTINCT = "approx_distinct"
    APPROX_QUANTILE = "approx_quantile"


DERIVED = (
    AggregateKind.RATIO,
    AggregateKind.DIFFERENCE,
    AggregateKind.TIME_SINCE_FIRST,
    AggregateKind.TIME_SINCE_LAST,
)
"""Computed from other aggregates at the same boundary (`AggregateSpec.parts`), by `inseam.ir.derived`."""
PLACES = (AggregateKind.FIRST, AggregateKind.LAST, AggregateKind.LAST_N)
"""Name a row by its place in time."""
_NUMBERS = (DataType.INT64, DataType.FLOAT64)
_ORDERED = (*_NUMBERS, DataType.STRING, DataType.TIMESTAMP, DataType.DATE)


@dataclass(frozen=True, slots=True)
class Algebra:
    """What one kind accepts and yields. ``result`` None: the type of its column."""

    accepts: tuple[DataType, ...]
    result: DataType | None
    empty: int | None
    """The value over no row: 0 for counts, NULL for the rest."""
    needs_column: bool = True


ALGEBRA: dict[AggregateKind, Algebra] = {
    AggregateKind.COUNT: Algebra(tuple(DataType), DataType.INT64, 0, needs_column=False),
    AggregateKind.SUM: Algebra(_NUMBERS, None, None),
    AggregateKind.MEAN: Algebra((*_NUMBERS, DataType.BOOL), DataType.FLOAT64, None),
    AggregateKind.MIN: Algebra(_ORDERED, None, None),
    AggregateKind.MAX: Algebra(_ORDERED, None, None),
    AggregateKind.STD: Algebra(_NUMBERS, DataType.FLOAT64, None),
    AggregateKind.FIRST: Algebra(tuple(DataType), None, None),
    AggregateKind.LAST: Algebra(tuple(DataType), None, None),
    AggregateKind.DISTINCT: Algebra(tuple(DataType), DataType.INT64, 0),
    AggregateKind.QUANTILE: Algebra(_NUMBERS, DataType.FLOAT64, None),
    AggregateKind.LAST_N: Algebra(tuple(DataType), None, None),
    AggregateKind.TOP_K: Algebra(tuple(t for t in DataType if t is not DataType.FLOAT64), None, None),
    AggregateKind.APPROX_DISTINCT: Algebra(tuple(DataType), DataType.INT64, 0),
    AggregateKind.APPROX_QUANTILE: Algebra(_NUMBERS, DataType.FLOAT64, None),
    **{kind: Algebra(_NUMBERS, DataType.FLOAT64, None, needs_column=False) for kind in DERIVED},
}


def result_type(kind: AggregateKind, column: DataType | None) -> DataType:
    """The type of the aggregate's value. ``std`` is the sample standard deviation (n - 1), NULL for one value.

    Exact quantiles interpolate linearly between order statistics (Hyndman and Fan, type 7).
    """
    fixed = ALGEBRA[kind].result
    if fixed is not None:
        return fixed
    if column is None:
        raise ValueError(f"{kind} needs a column")
    return column


@dataclass(frozen=True, slots=True)
class AggregateSpec:
    """One feature: an aggregate of a column over a window. ``over`` is microseconds, None since the beginning."""

    name: str
    kind: AggregateKind
    type: DataType
    column: str | None = None
    over: int | None = None
    where: str | None = None
    quantile: float | None = None
    rank: int | None = None
    """Of `LAST_N` and `TOP_K`: which of them, from 1."""
    parts: tuple[AggregateSpec, ...] = ()
    """Of a derived feature: what it is computed from. Whether the view gives them as well makes no difference."""

    @property
    def is_zero_over_nothing(self) -> bool:
        """Whether the value over no row is 0, as that of counts is, and not NULL."""
        if self.kind is AggregateKind.DIFFERENCE:
            return all(part.is_zero_over_nothing for part in self.parts)
        return ALGEBRA[self.kind].empty == 0
