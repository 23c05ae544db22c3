"""Rows held as equally long numpy columns, and the few acts on them. Instants are int64 seconds since the epoch."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]
Columns: TypeAlias = dict[str, Array]

DAY_SECONDS = 86_400


def take(columns: Columns, rows: Array) -> Columns:
    """The named rows (indices or a mask), in that order."""
    return {name: values[rows] for name, values in columns.items()}


def join(parts: Sequence[Columns]) -> Columns:
    """The rows of all parts, one after another; the parts have the same columns."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def size(columns: Columns) -> int:
    """How many rows."""
    return len(next(iter(columns.values())))


def seconds(day: np.datetime64) -> int:
    """A day or instant of numpy as seconds since the epoch."""
    return int(day.astype("datetime64[s]").astype(np.int64))


def iso(instants: Array) -> Array:
    """Seconds since the epoch as ISO 8601 text in UTC: 2023-03-05T14:22:31Z."""
    return np.asarray(np.datetime_as_string(instants.astype("datetime64[s]"), timezone="UTC"))


def sigmoid(x: Floats) -> Floats:
    """The logistic function: log-odds to probability."""
    return np.asarray(1.0 / (1.0 + np.exp(-x)), dtype=np.float64)


def pick(rng: np.random.Generator, weights: Floats) -> Ints:
    """One column index a row, drawn in proportion to that row's weights."""
    ladder = np.cumsum(weights, axis=1)
    draw = rng.random(len(weights)) * ladder[:, -1]
    return np.asarray((ladder[:, :-1] <= draw[:, None]).sum(axis=1), dtype=np.int64)


def pick_many(rng: np.random.Generator, weights: Floats, count: int) -> Ints:
    """`count` indices, each drawn in proportion to the same weights."""
    ladder = np.cumsum(weights)
    found = np.searchsorted(ladder, rng.random(count) * ladder[-1], side="right")
    return np.asarray(np.minimum(found, len(weights) - 1), dtype=np.int64)
