"""A column of numbers in a file, and its exact statistics in a few megabytes however long it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from inseam.adapters.duckdb.sweep_layout import Array, kernel

QUANTILES = tuple(place / 20 for place in range(21))
_CHUNK = 1 << 17
"""Cells that are looked at together. Always the same: sums don't depend on how the cells came."""
_SIGN = np.uint64(1 << 63)


class NumbersFile:
    """Finite cells, int64 or float64, in the order in which they came."""

    def __init__(self, path: Path, dtype: str) -> None:
        self._path, self._dtype = path, dtype
        self._count = 0
        self._file = path.open("wb")

    def append(self, cells: Array) -> None:
        """Infinite cells are left out."""
        finite = cells[np.isfinite(cells)] if self._dtype == "float64" else cells
        self._count += finite.size
        finite.tofile(self._file)

    def statistics(self) -> dict[str, Any]:
        """``mean, std, min, max, quantiles``, None where there are too few cells."""
        self._file.close()
        if not self._count:
            return dict.fromkeys(("mean", "std", "min", "max", "quantiles"))
        ends = [(chunk.min().item(), chunk.max().item()) for chunk in self._chunks()]
        with np.errstate(over="ignore"):
            mean = self._sum(lambda x: x) / self._count
            squares = self._sum(lambda x: np.square(x - mean))
        return {
            "mean": mean,
            "std": math.sqrt(squares / (self._count - 1)) if self._count > 1 else None,
            "min": min(low for low, _ in ends),
            "max": max(high for _, high in ends),
            "quantiles": self._quantiles(),
        }

    def _chunks(self) -> Iterator[Array]:
        with self._path.open("rb") as file:
            while (chunk := np.fromfile(file, self._dtype, _CHUNK)).size:
                yield chunk

    def _sum(self, of: Callable[[Array], Array]) -> float:
        parts = [float(np.sum(of(chunk.astype(np.float64)))) for chunk in self._chunks()]
        return math.fsum(parts) if all(map(math.isfinite, parts)) else sum(parts)

    def _quantiles(self) -> list[float]:
        """Interpolated linearly between order statistics."""
        places = np.array(QUANTILES) * (self._count - 1)
        low = np.floor(places).astype(np.int64)
        high = np.minimum(low + 1, self._count - 1)
        wanted = np.unique(np.concatenate([low, high]))
        picked = self._at(wanted)
        below, above = picked[np.searchsorted(wanted, low)], picked[np.searchsorted(wanted, high)]
        share = places - low
        # Not below + (above - below) * share: the difference of two great numbers may overflow.
        values: list[float] = (below * (1 - share) + above * share).tolist()
        return values

    def _at(self, places: Array) -> Array:
        """The cells at sorted places, their order-preserving bits found 16 at a time from the highest.

        Each pass counts the next digit among the cells that share the digits found so far with one that is wanted.
        """
        rank = places.copy()
        prefix = np.zeros(places.size, np.uint64)
        for shift in (48, 32, 16, 0):
            prefixes, group = np.unique(prefix, return_inverse=True)
            counts = self._digits(prefixes, shift)
            np.cumsum(counts, axis=1, out=counts)
            digit = np.array([np.searchsorted(counts[g], r, side="right") for g, r in zip(group, rank, strict=True)])
            rank -= np.where(digit > 0, counts[group, digit - 1], 0)
            prefix = prefix << np.uint64(16) | digit.astype(np.uint64)
        return _number(prefix)

    def _digits(self, prefixes: Array, shift: int) -> Array:
        """int64[len(prefixes), 65536]: how many cells begin with each prefix and go on with each digit."""
        counts = np.zeros((prefixes.size, 1 << 16), np.int64)
        for chunk in self._chunks():
            _count_digits(_ordered(chunk.astype(np.float64)), prefixes, np.uint64(shift), counts)
        return counts


@kernel
def _count_digits(ordered: Array, prefixes: Array, shift: Any, counts: Array) -> None:
    digits = np.uint64(16)
    for bits in ordered:
        head = bits >> shift >> digits
        group = np.searchsorted(prefixes, head)
        if group < prefixes.size and prefixes[group] == head:
            counts[group, np.int64((bits >> shift) & np.uint64(0xFFFF))] += 1


def _ordered(cells: Array) -> Array:
    """uint64 in the order of the numbers."""
    bits = (cells + 0.0).view(np.uint64)  # adding 0 makes -0 a 0
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def _number(ordered: Array) -> Array:
    """Back from `_ordered`."""
    return np.where(ordered & _SIGN, ordered & ~_SIGN, ~ordered).view(np.float64)
