"""Rows as states of one row each."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from inseam.ir.sketch import SKETCHED, sketched
from inseam.ir.tile_measure import FAMILIES, NO_PLACE, Measure
from inseam.ir.tile_merge import State
from inseam.ir.tiles import TileLayout, Tiles
from inseam.kernel.types import DataType

if TYPE_CHECKING:
    import pyarrow as pa

_SKETCHED = {FAMILIES[kind]: kind for kind in SKETCHED}
UNKNOWN = np.iinfo(np.int64).min
"""Stands for the ingestion time of history: before every other."""


def lift(
    layout: TileLayout, columns: Mapping[str, pa.Array], conditions: Mapping[str, np.ndarray], place: State
) -> Tiles:
    """A tile for each row. ``conditions``: by the text of a ``where``, bool; ``place`` as `lifted` takes it."""
    states = [
        lifted(
            measure,
            None if measure.column is None else columns[measure.column],
            None if measure.where is None else conditions[measure.where],
            place,
        )
        for measure in layout.measures
    ]
    return Tiles.of(layout, place["ts"], states)


def lifted(measure: Measure, column: pa.Array | None, passing: np.ndarray | None, place: State) -> State:
    """The states of rows: of their cells in ``column`` (None: of the rows themselves) where ``passing`` (None: all).

    ``place`` holds each row's ``ts``, ``known`` (`UNKNOWN` for NULL) and ``seq``, int64.
    """
    count = place["ts"].size
    rows = np.ones(count, bool) if passing is None else passing
    if column is None:
        return {"n": rows.astype(np.int64)}
    if measure.family in _SKETCHED:
        column = sketched(_SKETCHED[measure.family], column)
    held = np.asarray(column.is_valid()) & rows
    if measure.family in _SKETCHED:
        return _sketch(measure, column, held)
    if measure.family in NO_PLACE:
        ts = np.where(rows, place["ts"], NO_PLACE[measure.family])
        return {**place, "ts": ts, **_cell(measure, column, held)}
    if measure.family in ("min", "max"):
        return _cell(measure, column, held)
    values = None if measure.type is DataType.STRING else _numbers(column, held)
    if values is not None and values.dtype.kind == "f":
        held = held & ~np.isnan(values)
    if measure.family == "count":
        return {"n": held.astype(np.int64)}
    if measure.family == "distinct":
        cells = _digests(column) if values is None else _words(values)
        return {"length": held.astype(np.uint32), "heap": cells[held]}
    assert values is not None  # the checker lets no other aggregate take strings
    if measure.family == "whole":
        values = np.where(held, values, 0)
        return {"n": held.astype(np.int64), "high": values >> 32, "low": values & 0xFFFFFFFF}
    floats = values.astype(np.float64)
    if measure.family == "cells":
        return {"length": held.astype(np.uint32), "heap": floats[held]}
    state = {"n": held.astype(np.int64), "high": np.where(held, floats, 0.0), "low": np.zeros(count)}
    return state | {"squares": np.zeros(count)} if measure.family == "spread" else state


def _sketch(measure: Measure, cells: pa.Array, held: np.ndarray) -> State:
    values = _numbers(cells, held)[held]
    heap = np.zeros(values.size, measure.heap)
    if measure.family == "bins":
        heap["f0"], heap["f1"] = values, 1
    else:
        heap[:] = values
    return {"length": held.astype(np.uint32), "heap": heap}


def _cell(measure: Measure, column: pa.Array, held: np.ndarray) -> State:
    """The cells as they are."""
    if measure.heap is None:
        values = _numbers(column, held)
        if values.dtype.kind == "f":
            held = held & ~np.isnan(values)
        return {"held": held, "cell": np.where(held, values, 0)}
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pc.if_else(pa.array(held), column, "").cast(pa.large_binary())
    lengths = pc.binary_length(text).to_numpy(zero_copy_only=False).astype(np.uint32)
    heap = np.frombuffer(b"".join(text.to_pylist()), np.uint8)
    return {"held": held, "length": lengths, "heap": heap}


def _numbers(column: pa.Array, held: np.ndarray) -> np.ndarray:
    """A column that is not of strings, as int64 or float64; anything where there is NULL."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_date32(column.type):
        column = column.cast(pa.int32())
    if not pa.types.is_floating(column.type):
        column = column.cast(pa.int64())
    if column.null_count:
        column = pc.fill_null(column, 0)
    return np.asarray(column.to_numpy(zero_copy_only=False))


def _words(values: np.ndarray) -> np.ndarray:
    """Values as int64 that are equal where the values are: 0.0 and -0.0 are one."""
    return (values + 0.0).view(np.int64) if values.dtype.kind == "f" else values


def _digests(column: pa.Array) -> np.ndarray:
    """Strings as 16 bytes each: no two are known to share them."""
    encoded = column.dictionary_encode()
    found = [blake2b((text or "").encode(), digest_size=16).digest() for text in encoded.dictionary.to_pylist()]
    import pyarrow.compute as pc

    codes = pc.fill_null(encoded.indices, 0).to_numpy(zero_copy_only=False)
    return np.asarray(np.array(found or [b""], "S16")[codes])
