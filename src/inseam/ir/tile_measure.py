"""What tiles hold: the partial state of an aggregate over some rows, and which states a view's features need.

A state is some fixed fields of a record and, for states of no fixed size, a heap of cells whose length is a field.

    count     n                                   rows, or cells that are not NULL
    whole     n, high, low                        sum of int64 as high * 2**32 + low: it can't overflow
    sum       n, high, low                        sum of floats, double-double
    spread    n, high, low, squares               and the squared distances from the mean
    min, max  held, cell                          of strings the cell is on the heap
    first, last  ts, known, seq, held, cell       the place of the row that gives the cell, NULL or not
    cells     a heap of floats                    for exact quantiles
    distinct  a heap of cells, each once          of strings 16 bytes of BLAKE2b
    hashes    a heap of the least hashes          for approx_distinct: at most `sketch.MOST`
    bins      a heap of (value, how often)        for approx_quantile: rounded values, each once
"""

from __future__ import annotations

from dataclasses import dataclass

from inseam.ir.aggregates import AggregateKind, AggregateSpec
from inseam.kernel.types import DataType

_COUNTED = (("n", "<i8"),)
_SUMMED = (*_COUNTED, ("high", "<f8"), ("low", "<f8"))
_PLACED = (("ts", "<i8"), ("known", "<i8"), ("seq", "<i8"))
_FIXED: dict[str, tuple[tuple[str, str], ...]] = {
    "count": _COUNTED,
    "whole": (*_COUNTED, ("high", "<i8"), ("low", "<i8")),
    "sum": _SUMMED,
    "spread": (*_SUMMED, ("squares", "<f8")),
    "min": (("held", "?"),),
    "max": (("held", "?"),),
    "first": (*_PLACED, ("held", "?")),
    "last": (*_PLACED, ("held", "?")),
    "cells": (),
    "distinct": (),
    "hashes": (),
    "bins": (),
}
_HEAPS = {"cells": "<f8", "hashes": "<i8", "bins": "<f8,<i8"}
FAMILIES = {
    AggregateKind.COUNT: "count",
    AggregateKind.SUM: "sum",
    AggregateKind.MEAN: "sum",
    AggregateKind.STD: "spread",
    AggregateKind.MIN: "min",
    AggregateKind.MAX: "max",
    AggregateKind.FIRST: "first",
    AggregateKind.LAST: "last",
    AggregateKind.QUANTILE: "cells",
    AggregateKind.DISTINCT: "distinct",
    AggregateKind.APPROX_DISTINCT: "hashes",
    AggregateKind.APPROX_QUANTILE: "bins",
}
"""The state from which each kind of aggregate is computed; sums of whole numbers have one of their own."""
NO_PLACE = {"first": (1 << 63) - 1, "last": -(1 << 63)}
"""The ``ts`` of a first and of a last over no row."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One state that tiles keep: features over several windows of one column share it."""

    family: str
    column: str | None
    type: DataType | None
    """Of the column."""
    where: str | None

    @classmethod
    def of(cls, spec: AggregateSpec, column: DataType | None) -> Measure:
        """The state from which a feature is computed; ``column`` is the type of its column."""
        family = FAMILIES[spec.kind]
        if spec.kind is AggregateKind.SUM and spec.type is DataType.INT64:
            family = "whole"
        return cls(family, spec.column, column, spec.where)

    @property
    def heap(self) -> str | None:
        """The form of a cell on the heap, None for a state of fixed size."""
        if self.family in _HEAPS:
            return _HEAPS[self.family]
        if self.family == "distinct":
            return "S16" if self.type is DataType.STRING else "<i8"
        if self.type is DataType.STRING and self.family in NO_PLACE | {"min": 0, "max": 0}:
            return "u1"
        return None

    @property
    def fields(self) -> tuple[tuple[str, str], ...]:
        """The names and forms of the state's fields; ``length`` counts its cells on the heap."""
        fixed = _FIXED[self.family]
        if self.heap is not None:
            return (*fixed, ("length", "<u4"))
        if self.family in ("min", "max", "first", "last"):
            return (*fixed, ("cell", "<f8" if self.type is DataType.FLOAT64 else "<i8"))
        return fixed
