"""Asks about the columns of the events, and how each is answered from a Layout."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from inseam.adapters.duckdb import sweep_exact as exact
from inseam.adapters.duckdb import sweep_kernels as kernels
from inseam.adapters.duckdb import sweep_layout as layouts
from inseam.adapters.duckdb import sweep_quantile as quantile
from inseam.adapters.duckdb import sweep_ranked as ranked
from inseam.adapters.duckdb import sweep_sums as sums
from inseam.adapters.duckdb.sweep_crew import Crew, frozen
from inseam.adapters.duckdb.sweep_layout import Array, Layout
from inseam.ir import sketch

KINDS = (
    "count", "sum", "mean", "min", "max", "std", "first", "last", "distinct", "quantile",
    "last_n", "top_k", "approx_distinct", "approx_quantile",
)  # fmt: skip
Answer = tuple[Array, Array | None]
_COUNTED = ("count", "sum", "mean", "std", "quantile", "approx_quantile")
PLACES = ("first", "last", "last_n")
_PICKS = {"max": kernels.MAX, "min": kernels.MIN, "last": kernels.LAST, "first": kernels.FIRST}


@dataclass(frozen=True)
class Column:
    """One column of the events: float64, int64 or bool cells (strings come as int64 codes); valid None = no NULL."""

    values: Array
    valid: Array | None = None


@dataclass(frozen=True)
class Ask:
    """One aggregate: kind over column, of rows where mask (a bool column; NULL is false) holds, over_us back.

    ``first``, ``last`` and ``last_n`` of no column are the number of the row, from 0, from which a cell can be taken.
    ``share``, from 0 to 1, says which quantile; ``nth``, from 1, which of the newest or most frequent. The cells of
    approximations are those of `inseam.ir.sketch`.
    """

    kind: str
    column: str | None = None
    mask: str | None = None
    over_us: int | None = None
    share: float = 0.0
    nth: int = 0


@dataclass
class Task:
    """The asks about one column: its cells are gathered once, and windows that several asks need are answered once."""

    crew: Crew
    layout: Layout
    order: Array
    columns: dict[str, Column]
    name: str | None
    rows: int

    @cached_property
    def cuts(self) -> Array:
        return self.crew.by_load(self.layout.event_start, self.layout.spine_start)

    @cached_property
    def column(self) -> Column:
        assert self.name is not None
        return self.columns[self.name]

    @cached_property
    def is_float(self) -> bool:
        return bool(self.column.values.dtype == np.float64)

    @cached_property
    def cells(self) -> Array:
        """Cells by position as int64: floats as their bits."""
        values = self.column.values
        source = frozen(values.view(np.int64) if self.is_float else values, np.int64)
        out = np.empty(self.order.size, np.int64)
        self.crew.split(layouts.gather, self.crew.even(out.size), self.order, source, out)
        return out

    @cached_property
    def numbers(self) -> Array:
        """Cells by position as float64."""
        return self.cells.view(np.float64) if self.is_float else self.cells.astype(np.float64)

    def passing(self, mask: str | None, *, skips_null: bool) -> Array:
        """bool by position: rows that count; empty where all do."""
        valid = self.column.valid if skips_null and self.name is not None else None
        where = None
        if mask is not None:
            column = self.columns[mask]
            where = column.values if column.valid is None else column.values & column.valid
        if valid is None and where is None:
            return np.empty(0, np.bool_)
        out = np.empty(self.order.size, np.bool_)
        sources = frozen(valid, np.bool_), frozen(where, np.bool_)
        self.crew.split(layouts.gather_passing, self.crew.even(out.size), self.order, *sources, out)
        return out

    def answer(self, asks: Sequence[Ask], mask: str | None) -> dict[Ask, Answer]:
        """Answer all asks of this column under one mask."""
        answers: dict[Ask, Answer] = {}
        overs = self.layout.over.tolist()
        index = {ask: overs.index(-1 if ask.over_us is None else ask.over_us) for ask in asks}
        for skips_null in (True, False):
            group = [ask for ask in asks if (ask.kind not in PLACES) is skips_null]
            passing = self.passing(mask, skips_null=skips_null) if group else np.empty(0, np.bool_)
            counts: dict[int, Array] = {}
            totals: dict[int, Array] = {}
            most_frequent: dict[int, Array] = {}
            for kind, share, nth in sorted({(KINDS.index(ask.kind), ask.share, ask.nth) for ask in group}):
                alike = [ask for ask in group if (KINDS.index(ask.kind), ask.share, ask.nth) == (kind, share, nth)]
                windows = sorted({index[ask] for ask in alike})
                if KINDS[kind] in _COUNTED:
                    needed = sorted({index[ask] for ask in group if ask.kind in _COUNTED})
                    counts = counts or self._tally(needed, np.empty(0, np.int64), passing)
                if KINDS[kind] in ("quantile", "approx_quantile"):
                    found = self._quantile(share, windows, passing, counts, is_between=KINDS[kind] == "quantile")
                elif KINDS[kind] == "last_n":
                    found = self._newest(nth, windows, passing)
                elif KINDS[kind] == "top_k":
                    most_frequent = most_frequent or self._frequent(group, index, passing)
                    found = {w: self._cells_at(most_frequent[w][nth - 1], is_place=False) for w in windows}
                else:
                    found = self._kind(KINDS[kind], windows, passing, counts, totals)
                answers |= {ask: found[index[ask]] for ask in alike}
        return answers

    def _kind(
        self, kind: str, windows: list[int], passing: Array, counts: dict[int, Array], totals: dict[int, Array]
    ) -> dict[int, Answer]:
        """Answers of one kind by window; totals keeps the float sums that sum and mean share."""
        if kind == "count":
            return {w: (counts[w], None) for w in windows}
        if kind == "distinct":
            found = self._run(kernels.distinct, windows, self.is_float, self.cells, passing)
            return {w: (found[w], None) for w in windows}
        if kind == "approx_distinct":
            return self._estimates(windows, passing)
        if kind in _PICKS:
            return self._pick(kind, windows, passing)
        if kind == "sum" and not self.is_float:
            return {w: (total, counts[w] > 0) for w, total in self._whole(windows, passing, counts).items()}
        if kind == "std":
            deviations = self._float("std", windows, passing, counts)
            return {w: (deviations[w], counts[w] > 1) for w in windows}
        missing = [w for w in windows if w not in totals]
        if missing:
            totals |= self._float("sum", missing, passing, counts)
        if kind == "sum":
            return {w: (totals[w], counts[w] > 0) for w in windows}
        return {w: (totals[w] / np.maximum(counts[w], 1), counts[w] > 0) for w in windows}

    def _run(self, kernel: Callable[..., Any], windows: list[int], *arguments: Any) -> dict[int, Array]:
        """Run a kernel of whole numbers over all keys: its result per window, in the spine's order."""
        out = np.zeros((len(windows), self.rows), np.int64)
        self.crew.split(kernel, self.cuts, self.layout, np.array(windows, np.int64), *arguments, out)
        return dict(zip(windows, out, strict=True))

    def _tally(self, windows: list[int], cells: Array, passing: Array) -> dict[int, Array]:
        return self._run(kernels.tally, windows, cells, passing)

    def _whole(self, windows: list[int], passing: Array, counts: dict[int, Array]) -> dict[int, Array]:
        """Sums of int64 cells. Prefixes may wrap, and their difference is right all the same, but not a sum that is
        itself too great: `OverflowError`.
        """
        totals = self._tally(windows, self.cells, passing)
        most = max((int(count.max(initial=0)) for count in counts.values()), default=0)
        greatest = max(int(self.cells.max(initial=0)), -int(self.cells.min(initial=0)))
        if most * greatest >= 2**63:
            about = self._float("sum", windows, passing, counts)
            if any((np.abs(about[w] - totals[w]) > 2.0**62).any() for w in windows):
                raise OverflowError(f"a sum of {self.name} does not fit into 64 bits")
        return totals

    def _float(self, kind: str, windows: list[int], passing: Array, counts: dict[int, Array]) -> dict[int, Array]:
        """Sums or deviations; what prefix sums can't promise is done again with care."""
        is_spread = kind == "std"
        out = np.zeros((len(windows), self.rows), np.float64)
        stacked = np.stack([counts[w] for w in windows])
        which = np.array(windows, np.int64)
        kernel = sums.spreads if is_spread else sums.sums
        flags = self.crew.split(kernel, self.cuts, self.layout, which, self.numbers, passing, stacked, out)
        for flag, repair in ((sums.FOUND_UNSURE, exact.redo_unsure), (sums.FOUND_ODD, exact.mark_odd)):
            if flags & flag:
                self.crew.split(repair, self.cuts, self.layout, which, is_spread, self.numbers, passing, out)
        return dict(zip(windows, out, strict=True))

    def _quantile(
        self, share: float, windows: list[int], passing: Array, counts: dict[int, Array], *, is_between: bool
    ) -> dict[int, Answer]:
        out = np.zeros((len(windows), self.rows))
        of_cells = self.is_float, self.cells, self.numbers, share, is_between
        self.crew.split(
            quantile.quantiles, self.cuts, self.layout, np.array(windows, np.int64), *of_cells, passing, out
        )
        return {w: (values, counts[w] > 0) for w, values in zip(windows, out, strict=True)}

    def _pick(self, kind: str, windows: list[int], passing: Array) -> dict[int, Answer]:
        """min, max, first, last: the cell of the row that the kernel points to."""
        is_place = kind in PLACES
        is_float, cells = (False, np.empty(0, np.int64)) if is_place else (self.is_float, self.cells)
        out = np.full((len(windows), self.rows), -1, np.int32)
        for kernel in (kernels.pick, kernels.pick_late) if self.layout.enter.size else (kernels.pick,):
            arguments = self.layout, np.array(windows, np.int64), _PICKS[kind], is_float, cells, passing, out
            self.crew.split(kernel, self.cuts, *arguments)
        return {w: self._cells_at(position, is_place=is_place) for w, position in zip(windows, out, strict=True)}

    def _newest(self, nth: int, windows: list[int], passing: Array) -> dict[int, Answer]:
        out = np.full((len(windows), self.rows), -1, np.int32)
        self.crew.split(ranked.newest, self.cuts, self.layout, np.array(windows, np.int64), nth, passing, out)
        return {w: self._cells_at(position, is_place=True) for w, position in zip(windows, out, strict=True)}

    def _frequent(self, asks: Sequence[Ask], index: dict[Ask, int], passing: Array) -> dict[int, Array]:
        """Positions by window, then by rank: those of lesser rank are found on the way to the last."""
        asked = [ask for ask in asks if ask.kind == "top_k"]
        windows = sorted({index[ask] for ask in asked})
        out = np.full((len(windows), max(ask.nth for ask in asked), self.rows), -1, np.int32)
        self.crew.split(ranked.frequent, self.cuts, self.layout, np.array(windows, np.int64), self.cells, passing, out)
        return dict(zip(windows, out, strict=True))

    def _estimates(self, windows: list[int], passing: Array) -> dict[int, Answer]:
        count, greatest = np.zeros((2, len(windows), self.rows), np.int64)
        which = np.array(windows, np.int64)
        self.crew.split(ranked.hashes, self.cuts, self.layout, which, sketch.MOST, self.cells, passing, count, greatest)
        return {w: (sketch.estimates(*found), None) for w, *found in zip(windows, count, greatest, strict=True)}

    def _cells_at(self, position: Array, *, is_place: bool) -> Answer:
        """The cells of the rows at these positions; none where it is negative."""
        valid = position >= 0
        if self.order.size == 0:
            return np.zeros(self.rows, np.int64 if self.name is None else self.column.values.dtype), valid
        row = self.order[np.maximum(position, 0)]
        if self.name is None:
            return row, valid
        if is_place and self.column.valid is not None:
            valid &= self.column.valid[row]
        return self.column.values[row], valid
