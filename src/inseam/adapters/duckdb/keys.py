"""Entity keys as dense codes, so that everything behind works on one int64 whatever the keys are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inseam.adapters.duckdb.sweep_crew import frozen
from inseam.adapters.duckdb.sweep_layout import look_up

Array = np.ndarray[Any, Any]

CODE = "_code"
"""The column that holds a key's code."""
_FEW = 1_000
"""So few keys are better looked for by DuckDB, which then skips row groups."""


@dataclass(frozen=True, slots=True)
class SpineKeys:
    """The different keys of a spine, numbered from 0."""

    names: tuple[str, ...]
    codes: Array
    """int64 by spine row; -1 where a part of the key is NULL."""
    table: pa.Table
    """A row per different key: its columns and `CODE`."""
    lowest: int
    lookup: Array | None
    """int64 code by key less ``lowest`` for one whole-number key within a narrow range, -1 for keys unseen."""

    @classmethod
    def of(cls, names: tuple[str, ...], columns: Sequence[pa.ChunkedArray]) -> SpineKeys:
        codes = _codes(columns)
        first = _first_rows(codes)
        different = pa.table({name: column.take(first) for name, column in zip(names, columns, strict=True)})
        table = different.append_column(CODE, pa.array(np.arange(len(first), dtype=np.int64)))
        lowest, lookup = 0, None
        if len(names) == 1 and pa.types.is_integer(columns[0].type) and len(first) > _FEW:
            lowest, lookup = _lookup(table.column(0).to_numpy())
        return cls(names, codes, table, lowest, lookup)

    @property
    def count(self) -> int:
        return int(self.table.num_rows)

    def encode(self, column: pa.Array) -> Array:
        """Codes of whole-number keys by `lookup`; -1 for NULL and for keys that the spine doesn't have."""
        assert self.lookup is not None
        codes = np.empty(len(column), np.int64)
        values = column.fill_null(0) if column.null_count else column
        look_up(frozen(values, np.int64), self.lowest, frozen(self.lookup, np.int64), codes)
        if column.null_count:
            codes[column.is_null().to_numpy(zero_copy_only=False)] = -1
        return codes


def _codes(columns: Sequence[pa.ChunkedArray]) -> Array:
    """Dense int64 codes of rows over several columns; -1 where any is NULL."""
    codes: Array | None = None
    for column in columns:
        part = _part_codes(column)
        if codes is None:
            codes = part
            continue
        missing = (codes < 0) | (part < 0)
        # Both factors count rows of one spine, so their product stays below 2**62.
        both = codes * (int(part.max(initial=0)) + 1) + part
        both[missing] = -1
        codes = _part_codes(pa.chunked_array([pa.array(both, mask=missing)]))
    assert codes is not None
    return codes


def _part_codes(column: pa.ChunkedArray) -> Array:
    """Codes by first appearance; -1 for NULL."""
    encoded = column.combine_chunks().dictionary_encode()
    indices = encoded.indices if isinstance(encoded, pa.DictionaryArray) else encoded.combine_chunks().indices
    return np.asarray(pc.fill_null(indices, -1).to_numpy(zero_copy_only=False), np.int64)


def _first_rows(codes: Array) -> Array:
    """The first row of each code, by code."""
    rows = np.empty(int(codes.max(initial=-1)) + 1, np.int64)
    held = np.flatnonzero(codes >= 0)[::-1]
    rows[codes[held]] = held
    return rows


def _lookup(keys: Array) -> tuple[int, Array | None]:
    lowest, highest = int(keys.min()), int(keys.max())
    if highest - lowest >= max(4 * keys.size, 1 << 22):
        return 0, None
    lookup = np.full(highest - lowest + 1, -1, np.int64)
    lookup[keys - lowest] = np.arange(keys.size)
    return lowest, lookup
