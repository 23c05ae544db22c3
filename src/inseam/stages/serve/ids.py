"""Prediction ids: UUIDv7, so they sort by time, that also carry which endpoint made them.

Layout: 48 bits milliseconds, version 7, 12 bits of the millisecond's fraction, variant, 16 bits endpoint tag, 46 random
bits. So an outcome is filed under its endpoint, and a prediction looked for at its instant, from the id alone.
"""

from __future__ import annotations

import hashlib
import os
import uuid

ID_SCHEMA = {
    "type": "string",
    "format": "uuid",
    "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
}
"""An id in OpenAPI."""
_VERSION = 7 << 76
_VARIANT = 2 << 62
_RANDOM_BYTES = 6
_RANDOM_MASK = (1 << 46) - 1


def endpoint_tag(endpoint: str) -> int:
    """16 bits of the endpoint's name."""
    return int.from_bytes(hashlib.sha256(endpoint.encode()).digest()[:2], "big")


def make_ids(at: int, tag: int, count: int) -> list[int]:
    """``count`` ids for predictions made at ``at`` (UTC microseconds) by the endpoint with this tag."""
    millisecond, fraction = divmod(at, 1000)
    head = millisecond << 80 | _VERSION | (fraction * 4096 // 1000) << 64 | _VARIANT | tag << 46
    noise = os.urandom(_RANDOM_BYTES * count)
    return [
        head | (int.from_bytes(noise[start : start + _RANDOM_BYTES], "big") & _RANDOM_MASK)
        for start in range(0, _RANDOM_BYTES * count, _RANDOM_BYTES)
    ]


def format_id(number: int) -> str:
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def parse_id(text: str) -> int | None:
    """The id's number, None when the text is no UUIDv7 in its usual form."""
    try:
        parsed = uuid.UUID(text)
    except ValueError:
        return None
    return parsed.int if parsed.version == 7 and str(parsed) == text.lower() else None


def id_instant(number: int) -> int:
    """When the prediction was made: UTC microseconds, exact to the millisecond."""
    return (number >> 80) * 1000


def id_tag(number: int) -> int:
    return number >> 46 & 0xFFFF
