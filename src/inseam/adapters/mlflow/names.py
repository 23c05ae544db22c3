"""Which names MLflow takes for parameters, metrics and tags, and how any text becomes one of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

V = TypeVar("V")

_LONGEST = 250
_REFUSED = re.compile(r"[^\w.\- ]")


def storable(values: Mapping[str, V]) -> dict[str, V]:
    """The values under names of letters, digits and ``_ . - /`` that MLflow takes; two never fall together.

    >>> storable({"slices/store/a:b": 1, "slices/store/a?b": 2, "../x": 3})
    {'slices/store/a_b': 1, 'slices/store/a_b 2': 2, '_/x': 3}
    """
    found: dict[str, V] = {}
    for name, value in values.items():
        plain = "/".join(_part(part) for part in name.split("/"))[:_LONGEST].rstrip("/ ")
        unique, count = plain, 1
        while unique in found:
            count += 1
            tail = f" {count}"
            unique = plain[: _LONGEST - len(tail)] + tail
        found[unique] = value
    return found


def _part(text: str) -> str:
    plain = _REFUSED.sub("_", text).strip()
    return plain if plain.strip(".") else "_"
