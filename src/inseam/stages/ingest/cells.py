"""What every reader of a format yields: blocks of records, and the records that it could not read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_ROWS = 65_536
"""The most records in one block."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that goes to quarantine. ``raw`` is its text, or its cells as a JSON object."""

    line: int
    reason: str
    raw: str
    check: str | None = None


@dataclass(slots=True)
class Cells:
    """Records in their order, column by column.

    ``lines``: int64, where each record begins: a file's physical line from 1, otherwise its number. ``is_text``: string
    columns hold texts that stand for values of any type (CSV); otherwise a string is a string.
    """

    columns: dict[str, pa.Array]
    lines: pa.Array
    is_text: bool
    rejects: list[Reject] = field(default_factory=list)
    has_header: bool = True
    """Whether a column that is not here is nowhere in the file: not so for JSON lines."""

    @property
    def rows(self) -> int:
        return len(self.lines)
