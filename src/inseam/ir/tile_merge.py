"""States merged: neighbouring records of a segment become one, for each family of `tile_measure`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from inseam.ir import sketch
from inseam.ir.double_double import add, two_product, two_sum
from inseam.ir.tile_measure import NO_PLACE, Measure

State = dict[str, np.ndarray]
"""The fields of some records' states by name, and under ``heap`` their cells, one record's behind another's."""


def merged(measure: Measure, state: State, starts: np.ndarray) -> State:
    """One state for each segment; ``starts`` (ascending, from 0) are the places at which segments begin."""
    return _MERGES[measure.family](measure, state, starts)


def cells_of(state: State, chosen: np.ndarray) -> np.ndarray:
    """The heap of some records, in the order in which they are chosen."""
    lengths = state["length"].astype(np.int64)
    begins = np.cumsum(lengths) - lengths
    taken = lengths[chosen]
    ends = np.cumsum(taken)
    places = np.arange(ends[-1] if taken.size else 0) + np.repeat(begins[chosen] - (ends - taken), taken)
    found: np.ndarray = state["heap"][places]
    return found


def picked(state: State, chosen: np.ndarray) -> State:
    """Some records whole."""
    found = {name: values[chosen] for name, values in state.items() if name != "heap"}
    if "heap" in state:
        found["heap"] = cells_of(state, chosen)
    return found


def segments(starts: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(how many records each segment has, which segment each record is of)."""
    lengths = np.diff(starts, append=count)
    return lengths, np.repeat(np.arange(starts.size), lengths)


def _counts(_: Measure, state: State, starts: np.ndarray) -> State:
    return {name: np.add.reduceat(values, starts) for name, values in state.items()}


def _sums(measure: Measure, state: State, starts: np.ndarray) -> State:
    lengths = np.diff(starts, append=state["n"].size)
    both = _both_spreads if measure.family == "spread" else _both_sums
    while lengths.size and lengths.max() > 1:
        begins = np.cumsum(lengths) - lengths
        place = np.arange(lengths.sum()) - np.repeat(begins, lengths)
        left = np.flatnonzero(place % 2 == 0)
        has_right = place[left] + 1 < np.repeat(lengths, lengths)[left]
        pair = left[has_right]
        joined = both(
            {name: values[pair] for name, values in state.items()},
            {name: values[pair + 1] for name, values in state.items()},
        )
        state = {name: values[left] for name, values in state.items()}
        for name, values in joined.items():
            state[name][has_right] = values
        lengths = (lengths + 1) // 2
    return state


def _both_sums(a: State, b: State) -> State:
    high, low = add((a["high"], a["low"]), (b["high"], b["low"]))
    return {"n": a["n"] + b["n"], "high": high, "low": low}


def _both_spreads(a: State, b: State) -> State:
    found = _both_sums(a, b)
    distance = mean_distance(a, b)
    weight = a["n"] * b["n"].astype(np.float64) * found["n"]
    between = np.divide(distance * distance, weight, out=np.zeros(weight.size), where=weight > 0)
    return found | {"squares": a["squares"] + b["squares"] + between}


def mean_distance(a: State, b: State) -> np.ndarray:
    """(mean of a - mean of b) * n of a * n of b, exact before the last rounding: means may be large and close."""
    n_a, n_b = a["n"].astype(np.float64), b["n"].astype(np.float64)
    one, one_error = two_product(a["high"], n_b)
    other, other_error = two_product(b["high"], n_a)
    distance, error = two_sum(one, -other)
    return np.asarray(distance + (error + (one_error - other_error) + (a["low"] * n_b - b["low"] * n_a)))


def _extremes(measure: Measure, state: State, starts: np.ndarray) -> State:
    is_least = measure.family == "min"
    if measure.heap is None:
        cells = state["cell"]
        limits = np.iinfo(np.int64) if cells.dtype.kind == "i" else None
        worst = (np.inf if is_least else -np.inf) if limits is None else (limits.max if is_least else limits.min)
        filled = np.where(state["held"], cells, worst)
        found = (np.minimum if is_least else np.maximum).reduceat(filled, starts)
        return {"held": np.logical_or.reduceat(state["held"], starts), "cell": found}
    segment = segments(starts, state["held"].size)[1]
    rank = np.unique(texts_of(state), return_inverse=True)[1]
    rank = np.where(state["held"], rank if is_least else -rank, rank.size)
    return picked(state, np.lexsort((rank, segment))[starts])


def texts_of(state: State) -> np.ndarray:
    """The strings on the heap as an object array of bytes: their order is that of their code points."""
    whole = state["heap"].tobytes()
    ends = np.cumsum(state["length"].astype(np.int64))
    found = np.empty(ends.size, object)
    found[:] = [whole[end - length : end] for end, length in zip(ends.tolist(), state["length"].tolist(), strict=True)]
    return found


def _places(measure: Measure, state: State, starts: np.ndarray) -> State:
    lengths, segment = segments(starts, state["ts"].size)
    order = np.lexsort((state["seq"], state["known"], state["ts"], segment))
    return picked(state, order[starts if measure.family == "first" else starts + lengths - 1])


def _cells(_: Measure, state: State, starts: np.ndarray) -> State:
    return {"length": np.add.reduceat(state["length"], starts), "heap": state["heap"]}


def _distinct(_: Measure, state: State, starts: np.ndarray) -> State:
    segment = segments(starts, state["length"].size)[1]
    of_cell = np.repeat(segment, state["length"])
    codes = np.unique(state["heap"], return_inverse=True)[1]
    order = np.lexsort((codes, of_cell))
    of_cell, codes = of_cell[order], codes[order]
    is_new = np.ones(codes.size, bool)
    is_new[1:] = (codes[1:] != codes[:-1]) | (of_cell[1:] != of_cell[:-1])
    lengths = np.bincount(of_cell[is_new], minlength=starts.size)
    return {"length": lengths.astype(np.uint32), "heap": state["heap"][order[is_new]]}


def _hashes(measure: Measure, state: State, starts: np.ndarray) -> State:
    """The least of those of each segment: `_distinct` gives them in their order."""
    found = _distinct(measure, state, starts)
    lengths = found["length"].astype(np.int64)
    place = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return {"length": np.minimum(found["length"], sketch.MOST), "heap": found["heap"][place < sketch.MOST]}


def _bins(_: Measure, state: State, starts: np.ndarray) -> State:
    of_bin = np.repeat(segments(starts, state["length"].size)[1], state["length"])
    order = np.lexsort((state["heap"]["f0"], of_bin))
    of_bin, heap = of_bin[order], state["heap"][order]
    is_new = np.ones(heap.size, bool)
    is_new[1:] = (heap["f0"][1:] != heap["f0"][:-1]) | (of_bin[1:] != of_bin[:-1])
    joined = heap[is_new]
    joined["f1"] = np.add.reduceat(heap["f1"], np.flatnonzero(is_new)) if heap.size else 0
    return {"length": np.bincount(of_bin[is_new], minlength=starts.size).astype(np.uint32), "heap": joined}


_MERGES: dict[str, Callable[[Measure, State, np.ndarray], State]] = {
    "count": _counts,
    "whole": _counts,
    "sum": _sums,
    "spread": _sums,
    "min": _extremes,
    "max": _extremes,
    **dict.fromkeys(NO_PLACE, _places),
    "cells": _cells,
    "distinct": _distinct,
    "hashes": _hashes,
    "bins": _bins,
}
