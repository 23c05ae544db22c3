"""Sources: where rows come from, and how they are read."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

from inseam.define.check import checks_of
from inseam.define.declaration import SQL, frozen_mapping, tuple_of
from inseam.define.rows import Rows
from inseam.ir.checks import EPOCHS, CheckSpec
from inseam.ir.relation import SYSTEM_COLUMNS
from inseam.kernel.errors import Problem
from inseam.kernel.frozen import METADATA, UNSAID
from inseam.kernel.names import did_you_mean
from inseam.kernel.types import DataType

_SOME_INSTANT = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)
FORMATS = ("csv", "parquet", "jsonl")
ON_DUPLICATE = ("quarantine", "ignore", "replace")


@dataclass(frozen=True, eq=False)
class Source(Rows):
    """Rows of events, each with the instant at which it happened.

    ``location`` is a file, a directory or a glob (relative to the project) of CSV, Parquet or JSON lines; or give a
    ``database`` URL (``env:NAME`` reads it from the environment) and a ``query``. ``schema`` maps columns to types;
    left out it is inferred at the first load and then held. ``rename`` maps the file's
    names to ours. ``timestamp_formats`` are strptime's, or ``epoch_s``, ``epoch_ms`` or ``epoch_us`` for numbers;
    ``decimal=","`` reads ``1.234,50``. ``stream``: rows may be pushed to it; it needs no location then, but a schema.

    ``key`` names a row; ``on_duplicate`` says what a second row of the same key is: ``quarantine`` (an error),
    ``ignore`` (dropped and counted) or ``replace`` (a correction: the first counts until the second is known). With
    ``replace``, rows for which ``deleted`` is true, a bool column or a SQL expression, take those of their key away.

    >>> Source("orders", "data/orders/*.csv", timestamp="ordered_at", checks=["amount >= 0"]).checks[0].expression
    'amount >= 0'
    """

    KIND: ClassVar[str] = "source"
    name: str
    location: str | None = field(default=None, metadata=METADATA)
    timestamp: str = field(default="", kw_only=True)
    format: str | None = field(default=None, kw_only=True)
    database: str | None = field(default=None, kw_only=True, metadata=METADATA)
    query: str | None = field(default=None, kw_only=True, metadata=SQL)
    schema: Mapping[str, str] | None = field(default=None, kw_only=True)
    rename: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    timezone: str = field(default="UTC", kw_only=True)
    ambiguous: str = field(default="quarantine", kw_only=True)
    timestamp_formats: tuple[str, ...] = field(default=(), kw_only=True)
    decimal: str = field(default=".", kw_only=True, metadata=UNSAID)
    encoding: str | None = field(default=None, kw_only=True)
    delimiter: str | None = field(default=None, kw_only=True)
    key: tuple[str, ...] | str = field(default=(), kw_only=True)
    on_duplicate: str = field(default="quarantine", kw_only=True)
    deleted: str | None = field(default=None, kw_only=True, metadata=SQL)
    checks: tuple[CheckSpec, ...] | list[Any] = field(default=(), kw_only=True)
    stream: bool = field(default=False, kw_only=True, metadata=METADATA)

    def __post_init__(self) -> None:
        self._set("key", tuple_of(self.key))
        self._set("timestamp_formats", tuple_of(self.timestamp_formats))
        self._set("checks", checks_of(self.checks))
        super().__post_init__()
        if self.schema is not None:
            self._set("schema", frozen_mapping(self.schema))
        self._set("rename", frozen_mapping(self.rename))

    @property
    def base(self) -> Source:
        return self

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        if not self.timestamp:
            yield self.problem("timestamp-missing", "no timestamp column is named", mend='add timestamp="..."')
        if (self.location is None) == (self.query is None) and not (self.stream and self.query is None):
            yield self.problem(
                "location-unclear",
                "neither a location nor a query is given" if self.query is None else "both a location and a query are",
                expected="a file location, a database with a query, or stream=True",
            )
        if self.query is not None and self.database is None:
            yield self.problem("database-missing", "a query without a database", mend='add database="env:NAME"')
        yield from self._reading_problems()
        if self.ambiguous not in ("quarantine", "earliest", "latest"):
            yield self.problem(
                "choice-invalid", f"ambiguous is {self.ambiguous!r}", expected="quarantine, earliest, latest"
            )
        yield from self.timezone_problem(self.timezone)
        yield from self._key_problems()
        renamed = list(self.rename.values())
        for column in sorted({c for c in renamed if renamed.count(c) > 1}):
            yield self.problem("name-duplicate", f"rename makes two columns {column!r}", mend="rename one otherwise")
        if self.schema is not None:
            yield from self._schema_problems(self.schema)

    def _key_problems(self) -> Iterator[Problem]:
        """What is said of rows with the same key means something."""
        if self.on_duplicate not in ON_DUPLICATE:
            yield self.problem(
                "choice-invalid", f"on_duplicate is {self.on_duplicate!r}", expected=", ".join(ON_DUPLICATE)
            )
        elif self.on_duplicate != "quarantine" and not self.key:
            yield self.problem(
                "key-missing",
                f"on_duplicate is {self.on_duplicate!r}, and no key says which rows are the same",
                mend='add key="..."',
            )
        elif self.on_duplicate != "quarantine" and self.stream:
            yield self.problem(
                "choice-unclear",
                f"on_duplicate is {self.on_duplicate!r}, and rows are pushed to it, which all count online",
                mend="leave on_duplicate or stream out",
            )
        if self.deleted is not None and self.on_duplicate != "replace":
            yield self.problem(
                "choice-unclear",
                f"it has deletions ({self.deleted}), and its rows never replace each other",
                mend='add on_duplicate="replace"',
            )

    def _reading_problems(self) -> Iterator[Problem]:
        """What is said of how to read means something."""
        if self.format is not None and self.format not in FORMATS:
            yield self.problem("choice-invalid", f"the format is {self.format!r}", expected=", ".join(FORMATS))
        if self.delimiter is not None and len(self.delimiter) != 1:
            yield self.problem("delimiter-invalid", f"the delimiter is {self.delimiter!r}", expected="one character")
        if self.encoding is not None and not _is_encoding(self.encoding):
            yield self.problem(
                "encoding-unknown",
                f"the encoding is {self.encoding!r}",
                expected="an encoding that Python knows, e.g. utf-8, utf-16, cp1252 or latin-1",
            )
        if self.decimal not in (".", ","):
            yield self.problem("choice-invalid", f"decimal is {self.decimal!r}", expected='"." or ","')
        yield from self._format_problems()
        for column in (*self.rename.values(), *(self.schema or ())):
            if column in SYSTEM_COLUMNS:
                yield self.problem(
                    "name-reserved", f"a column is called {column!r}, as one of every table is", mend="rename it"
                )

    def _format_problems(self) -> Iterator[Problem]:
        """The formats of timestamps can be read by, and told apart."""
        for format_ in self.timestamp_formats:
            if format_ not in EPOCHS and not _is_time_format(format_):
                yield self.problem(
                    "format-invalid",
                    f"a timestamp format is {format_!r}",
                    expected=f"strptime's, e.g. %d/%m/%Y %H:%M, or one of {', '.join(EPOCHS)}",
                )
        counts = [format_ for format_ in self.timestamp_formats if format_ in EPOCHS]
        if len(counts) > 1:
            yield self.problem(
                "format-unclear", f"a number may be in {' or '.join(counts)}", mend="declare one unit for a source"
            )

    def _schema_problems(self, schema: Mapping[str, str]) -> Iterator[Problem]:
        types = [type_.value for type_ in DataType]
        for column, type_ in schema.items():
            if type_ not in types:
                yield self.problem("type-unknown", f"column {column!r} has type {type_!r}", expected=", ".join(types))
        if self.timestamp and self.timestamp not in schema:
            yield self.problem(
                "column-unknown",
                f"the timestamp {self.timestamp!r} is not in the schema",
                expected=f"a column of {self.ref}",
                mend=did_you_mean(self.timestamp, schema),
            )
        for column, renamed in self.rename.items():
            if renamed not in schema:
                yield self.problem(
                    "column-unknown",
                    f"{column!r} is renamed to {renamed!r}, which is not in the schema",
                    expected=f"a column of {self.ref}",
                    mend=did_you_mean(renamed, schema),
                )


def _is_encoding(name: str) -> bool:
    try:
        codecs.lookup(name)
    except LookupError:
        return False
    return True


def _is_time_format(text: str) -> bool:
    """Whether strptime can read what strftime writes by it."""
    try:
        datetime.strptime(_SOME_INSTANT.strftime(text), text)  # noqa: DTZ007 - only whether it can
    except ValueError:
        return False
    return "%" in text
