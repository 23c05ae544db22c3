"""Threads that share the work of compiled loops, and arrays in the one shape that the loops are compiled for."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from operator import or_
from typing import Any

import numpy as np

from inseam.adapters.duckdb.sweep_layout import Array

_FEW = 50_000  # rows below which a second thread costs more than it saves


@dataclass
class Crew:
    """Threads that share a kernel's work by ranges."""

    pool: ThreadPoolExecutor
    threads: int

    def split(self, kernel: Callable[..., Any], cuts: Array, *arguments: Any) -> int:
        """kernel(from, to, *arguments) for each pair of neighbouring cuts; the flags that they return, joined."""
        ranges = [(int(a), int(b)) for a, b in pairwise(cuts) if a < b]
        if len(ranges) <= 1 or self.threads == 1:
            results = [kernel(a, b, *arguments) for a, b in ranges]
        else:
            results = list(self.pool.map(lambda span: kernel(*span, *arguments), ranges))
        return reduce(or_, (result or 0 for result in results), 0)

    def even(self, size: int) -> Array:
        """Cuts of 0..size into equal parts, one per thread."""
        parts = self.threads if size > _FEW else 1
        return np.linspace(0, size, parts + 1).astype(np.int64)

    def by_load(self, *starts: Array) -> Array:
        """Cuts of the keys into parts of about equal numbers of rows; several per thread, as hot keys don't divide."""
        load = np.sum(starts, axis=0)
        parts = 8 * self.threads if load[-1] > _FEW else 1
        inner = np.searchsorted(load, np.arange(1, parts) * (int(load[-1]) / parts))
        return np.concatenate([[0], inner, [load.size - 1]])


def frozen(array: Array | None, dtype: type) -> Array:
    """A contiguous read-only view (kernels are compiled for one kind of array); empty for None."""
    view: Array = np.ascontiguousarray(np.empty(0, dtype) if array is None else array, dtype).view()
    view.flags.writeable = False
    return view
