"""What a source promises of its rows, and how its files are to be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from inseam.kernel.frozen import METADATA, UNSAID
from inseam.kernel.types import Schema

EPOCHS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
"""Formats of instants that are numbers: the time since 1970-01-01 UTC, in units of so many microseconds."""


class Severity(StrEnum):
    ERROR = "error"
    """A row that breaks the check goes to quarantine; a load that breaks it is refused whole."""
    WARN = "warn"


class CheckKind(StrEnum):
    EXPRESSION = "expression"
    NOT_NULL = "not_null"
    UNIQUE = "unique"
    ONE_OF = "one_of"
    BETWEEN = "between"
    FRESH = "fresh"
    ROW_COUNT = "row_count"

    @property
    def is_of_load(self) -> bool:
        """Judged once for a whole load, not row by row."""
        return self in (CheckKind.FRESH, CheckKind.ROW_COUNT)


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """``expression``: SQL over the row, true or NULL passes. Others use ``columns`` and ``arguments``.

    ``one_of``: the allowed values; ``between``: (low, high), either may be None; ``fresh``: the greatest age of the
    newest row in microseconds; ``row_count``: (least, most) rows of a load, either may be None.
    """

    name: str
    kind: CheckKind
    severity: Severity
    expression: str | None = None
    columns: tuple[str, ...] = ()
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """A source as ingestion needs it. Paths are absolute; ``schema`` None means: infer at the first load, then hold."""

    name: str
    timestamp: str
    location: str | None = field(default=None, metadata=METADATA)
    format: str | None = None
    database: str | None = field(default=None, metadata=METADATA)
    """A database URL, or ``env:NAME`` for one that the environment holds."""
    directory: str = field(default="", metadata=METADATA)
    """The project's: where the relative path of a SQLite file begins."""
    query: str | None = None
    schema: Schema | None = None
    rename: tuple[tuple[str, str], ...] = ()
    """(column of the file, column of the table)."""
    timezone: str = "UTC"
    ambiguous: str = "quarantine"
    """A local time that a DST change makes ambiguous or impossible: ``quarantine`` | ``earliest`` | ``latest``."""
    timestamp_formats: tuple[str, ...] = ()
    """strptime's, tried in their order before ISO 8601; one of `EPOCHS` among them reads whatever is a number."""
    decimal: str = field(default=".", metadata=UNSAID)
    """``.`` or ``,`` between a number's whole part and its fraction; the other one parts thousands."""
    encoding: str | None = None
    delimiter: str | None = None
    key: tuple[str, ...] = ()
    """Columns that name a row."""
    on_duplicate: str = "quarantine"
    """What a second row with the same key is: ``quarantine`` (an error), ``ignore`` (dropped and counted), ``replace``
    (an upsert: it supersedes the first)."""
    deleted: str | None = None
    """With ``replace``: SQL over a row, true where the row only takes its key's rows away."""
    entity_keys: tuple[str, ...] = field(default=(), metadata=METADATA)
    """Columns by which views and labels find their entities: input that lacks one of them is refused."""
    checks: tuple[CheckSpec, ...] = ()
