"""Immutable records: canonical form, and a fingerprint of meaning that leaves metadata out."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from enum import Enum
from typing import Any

METADATA: Mapping[str, Any] = {"meaning": False}
"""Give a dataclass field this ``metadata`` when changing it changes no value: descriptions, owners, places.

A field whose spelling varies names instead the form that counts: ``metadata={"form": function}``.
"""
UNSAID: Mapping[str, Any] = {"unsaid": True}
"""Give it to a field that a record gets later: with its default it says nothing, so that older fingerprints stay."""


def canonical(value: Any) -> Any:
    """``value`` as JSON data in which equal meanings are equal texts.

    A record becomes ``{"": class name, field: ...}`` without its metadata fields. An object may give its own form by a
    ``__canonical__()`` method: a reference gives its name, a function the digest of its source.
    TypeError names the part that has none.
    """
    own = getattr(value, "__canonical__", None)
    if own is not None and not isinstance(value, type):
        return canonical(own())
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return {"": "float", "hex": value.hex()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {"": type(value).__name__} | {name: part(name, item) for name, item in said(value).items()}
    if isinstance(value, Mapping):
        return {str(key): part(str(key), item) for key, item in sorted(value.items(), key=lambda kv: str(kv[0]))}
    if isinstance(value, tuple | list):
        return [canonical(item) for item in value]
    if isinstance(value, frozenset | set):
        return sorted((canonical(item) for item in value), key=json.dumps)
    raise TypeError(f"{type(value).__name__} has no canonical form")


def part(name: str, value: Any) -> Any:
    """The canonical form of a part of something, named where it has none."""
    try:
        return canonical(value)
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None


def said(record: Any) -> dict[str, Any]:
    """The fields of a dataclass that carry meaning, each in the form that counts."""
    kept = (f for f in dataclasses.fields(record) if f.metadata.get("meaning", True) and not _is_unsaid(f, record))
    return {f.name: f.metadata.get("form", _as_it_is)(getattr(record, f.name)) for f in kept}


def _is_unsaid(field: dataclasses.Field[Any], record: Any) -> bool:
    return bool(field.metadata.get("unsaid", False) and getattr(record, field.name) == field.default)


def _as_it_is(value: Any) -> Any:
    return value


def fingerprint(value: Any) -> str:
    """Sixteen bytes of SHA-256 over the canonical form, as 32 hex digits: equal meaning, equal fingerprint.

    >>> fingerprint({"over": 30, "of": "amount"}) == fingerprint({"of": "amount", "over": 30})
    True
    """
    text = json.dumps(canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
