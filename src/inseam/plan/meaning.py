"""Fingerprints of declarations: of what each says itself, and of that with everything upstream."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from inseam.define.declaration import Declaration
from inseam.kernel.frozen import fingerprint

_own: WeakKeyDictionary[Declaration, str] = WeakKeyDictionary()
_lineage: WeakKeyDictionary[Declaration, str] = WeakKeyDictionary()


def own(item: Declaration) -> str:
    """Changes when this declaration's own meaning does. Declarations don't change: each is read once."""
    if item not in _own:
        _own[item] = fingerprint(item.meaning())
    return _own[item]


def lineage(item: Declaration) -> str:
    """Changes when this declaration's meaning, or that of anything upstream, does."""
    if item not in _lineage:
        _lineage[item] = fingerprint([own(item), sorted(lineage(parent) for parent in item.upstream())])
    return _lineage[item]
