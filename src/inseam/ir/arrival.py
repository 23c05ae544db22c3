"""When rows became known, as a condition over a table's system columns."""

from __future__ import annotations

from inseam.ir.relation import INGESTED_AT
from inseam.kernel.clock import format_instant


def known_after(instant: int) -> str:
    """SQL that is true for rows ingested after an instant (UTC microseconds), never for history."""
    return f"{INGESTED_AT} > TIMESTAMPTZ '{format_instant(instant)}'"
