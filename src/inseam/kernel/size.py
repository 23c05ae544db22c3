"""Sizes of memory and of files, as people write them."""

from __future__ import annotations

import re

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?I?)B?\s*")
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}


def parse_size(text: str) -> int:
    """``"2GB"``, ``"512MiB"``, ``"0"`` to bytes; raises ValueError for anything else.

    >>> parse_size("1.5 KiB")
    1536
    """
    match = _SIZE.fullmatch(text.upper())
    if match is None or match[2] not in _UNITS:
        raise ValueError(f"{text!r} is not a size such as 2GB or 512MiB")
    return int(float(match[1]) * _UNITS[match[2]])
