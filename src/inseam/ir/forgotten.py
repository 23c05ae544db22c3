"""Entities that were forgotten: what names one is dropped wherever rows come in.

Of a key only a digest is kept, of its cells as texts, so that 7 and "7" are one key: BLAKE2b, keyed with the salt that
all erasures of an entity share. Whoever has the ledger can try keys one by one, and can read none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import permutations
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from inseam.ir.records import ErasureRecord

if TYPE_CHECKING:
    import pyarrow as pa

_TOKEN = re.compile(r"""[^\s,;:|=()\[\]{}"']+""")
_MOST_TRIES = 10_000
"""How many ways of reading a key from a text are tried."""


def digest_of(salt: str, cells: Sequence[str]) -> str:
    """The digest of a key from the texts of its cells."""
    return _digest(salt, ":".join(f"{len(cell.encode())}:{cell}" for cell in cells))


def _digest(salt: str, name: str) -> str:
    return blake2b(name.encode(), key=salt.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class _Known:
    """The forgotten keys of one entity."""

    columns: tuple[str, ...]
    salt: str
    digests: frozenset[str]

    def rows(self, columns: Sequence[pa.Array]) -> np.ndarray:
        """Which rows have one of the keys: each distinct key is hashed once."""
        import pyarrow.compute as pc

        if len(columns) == 1:
            encoded = columns[0].dictionary_encode()
            names = _names([encoded.dictionary])
        else:
            encoded = _names(columns).dictionary_encode()
            names = encoded.dictionary
        codes = [
            code for code, name in enumerate(names.to_pylist()) if name and _digest(self.salt, name) in self.digests
        ]
        return np.isin(pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False), codes)

    def is_told(self, text: str) -> bool:
        """Whether prose names one of the keys: a number does so only beside the names of the key's columns."""
        if not all(column in text for column in self.columns):
            text = " ".join(word for word in _TOKEN.findall(text) if not word.isdecimal())
        return self.is_named(text)

    def is_named(self, text: str) -> bool:
        """Whether a JSON object has one of the keys in its columns, or any other text has one in its words."""
        cells = _cells(text)
        if cells is not None and all(column in cells for column in self.columns):
            tries: Iterable[tuple[str, ...]] = [tuple(_plain(cells[column]) for column in self.columns)]
        else:
            words = list(dict.fromkeys(_TOKEN.findall(text)))
            if len(self.columns) > 1 and len(words) ** len(self.columns) > _MOST_TRIES:
                return False
            tries = permutations(words, len(self.columns))
        return any(digest_of(self.salt, one) in self.digests for one in tries)


class Forgotten:
    """The keys that were forgotten, of all entities. Asking costs nothing while there are none."""

    def __init__(self, records: Iterable[ErasureRecord] = ()) -> None:
        found: dict[tuple[str, tuple[str, ...]], set[str]] = {}
        for record in records:
            found.setdefault((record.salt, tuple(record.columns)), set()).add(record.digest)
        self._known = [_Known(columns, salt, frozenset(digests)) for (salt, columns), digests in found.items()]

    def __bool__(self) -> bool:
        return bool(self._known)

    def rows(self, columns: Mapping[str, pa.Array]) -> np.ndarray | None:
        """bool: which rows are of a forgotten entity; None when none is, as of columns that are nobody's key."""
        found: np.ndarray | None = None
        for known in self._known:
            if all(name in columns for name in known.columns):
                rows = known.rows([columns[name] for name in known.columns])
                if rows.any():
                    found = rows if found is None else found | rows
        return found

    def is_named(self, text: str) -> bool:
        """Whether a text, such as a line that could not be read, names a forgotten entity; rather too often."""
        return any(known.is_named(text) for known in self._known)

    def is_told(self, text: str) -> bool:
        """Whether a message names a forgotten entity."""
        return any(known.is_told(text) for known in self._known)


def _names(columns: Sequence[pa.Array]) -> pa.Array:
    """What `digest_of` takes the digest of, for whole columns; NULL where a cell is NULL."""
    import pyarrow as pa
    import pyarrow.compute as pc

    parts: list[Any] = []
    for column in columns:
        text = column.cast(pa.string())
        parts += [pc.binary_length(text).cast(pa.string()), text]
    return pc.binary_join_element_wise(*parts, ":")


def _cells(text: str) -> dict[str, Any] | None:
    try:
        found = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
    return found if isinstance(found, dict) else None


def _plain(cell: Any) -> str:
    """A cell of JSON as the text that its column would have."""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()
