"""The base of all declarations: a name, a place, and the collection that a project's loading opens."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from inseam.define.expect import caller_place, expect_types, imported_now
from inseam.ir.functions import FunctionRef
from inseam.kernel.clock import format_duration, format_instant, parse_duration, parse_instant
from inseam.kernel.errors import DefinitionError, Place, Problem
from inseam.kernel.frozen import METADATA, part, said
from inseam.kernel.names import Ref, is_name

_collected: ContextVar[tuple[list[Declaration], str] | None] = ContextVar("inseam_collected", default=None)


def _duration_form(text: Any) -> Any:
    try:
        return format_duration(parse_duration(text))
    except (ValueError, TypeError):
        return text


def _instant_form(text: Any) -> Any:
    try:
        return format_instant(parse_instant(text))
    except (ValueError, TypeError, OverflowError):
        return text


def _sql_form(text: Any) -> Any:
    """Its tokens as they are written: without comments, a space between two."""
    if not isinstance(text, str):
        return text
    from sqlglot import tokenize
    from sqlglot.errors import SqlglotError

    try:
        return " ".join(text[token.start : token.end + 1] for token in tokenize(text, dialect="duckdb"))
    except SqlglotError:
        return text


DURATION: Mapping[str, Any] = {"form": _duration_form, "is_typed": False}
"""``metadata`` of fields that hold a duration: 30d and 720h mean the same."""
SQL: Mapping[str, Any] = {"form": _sql_form}
"""``metadata`` of fields that hold SQL: line breaks and comments mean nothing."""
INSTANT: Mapping[str, Any] = {"form": _instant_form, "is_typed": False}
"""``metadata`` of fields that hold an instant: 2024-06-01 and 2024-06-01T00:00:00Z mean the same."""


@contextmanager
def collecting(package: str = "") -> Iterator[list[Declaration]]:
    """Within this block each declaration that is made is also put into the list, in order.

    With a ``package`` only those are that one of its modules makes while it is imported: what another package declares
    is there to be used.
    """
    found: list[Declaration] = []
    token = _collected.set((found, package))
    try:
        yield found
    finally:
        _collected.reset(token)


@dataclass(frozen=True, kw_only=True, eq=False)
class Declaration:
    """A named thing. ``owner``, ``description``, ``tags`` and ``deprecated`` (what to use instead) are metadata.

    Changing them recomputes nothing.

    Making one fails for values of wrong types only: other mistakes are kept as `problems` and reported all at once.
    """

    KIND: ClassVar[str] = "declaration"
    name: str
    owner: str = field(default="", metadata=METADATA)
    description: str = field(default="", metadata=METADATA)
    tags: tuple[str, ...] = field(default=(), metadata=METADATA)
    deprecated: str = field(default="", metadata=METADATA)
    place: Place | None = field(default=None, compare=False, repr=False, metadata=METADATA)

    def __post_init__(self) -> None:
        self._set("tags", tuple_of(self.tags))
        expect_types(self)
        if self.place is None:
            self._set("place", caller_place())
        self._collect()

    def _collect(self) -> None:
        collected = _collected.get()
        if collected is not None:
            found, package = collected
            if not package or f"{imported_now()}.".startswith(f"{package}."):
                found.append(self)

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    @property
    def ref(self) -> Ref:
        return Ref(self.KIND, self.name)

    def __canonical__(self) -> Any:
        """Within another's meaning a declaration is its reference: its own meaning is counted once, upstream."""
        return {"ref": str(self.ref)}

    def meaning(self) -> dict[str, Any]:
        """What this declaration says, as canonical data without metadata; functions by the digest of their source."""
        return {"kind": self.KIND} | {
            name: FunctionRef.of(value).digest if inspect.isfunction(value) else part(name, value)
            for name, value in said(self).items()
        }

    def upstream(self) -> tuple[Declaration, ...]:
        """The declarations that this one is made from."""
        return ()

    def problems(self) -> Iterator[Problem]:
        """Mistakes that can be seen in this declaration alone."""
        if not is_name(self.name):
            yield self.problem(
                "name-invalid",
                f"the name is {self.name!r}",
                expected="lower-case letters, digits and _, a letter first, at most 63 characters",
            )
        try:
            self.meaning()
        except TypeError as error:
            yield self.problem(
                "value-invalid", f"it holds a value without a meaning of its own: {error}", expected="plain data"
            )
        except DefinitionError as error:
            for p in error.problems:
                yield self.problem("function-invalid", f"{p.subject}: {p.found}", expected=p.expected, mend=p.mend)

    def problem(
        self, code: str, found: str, *, expected: str = "", mend: str = "", place: Place | None = None
    ) -> Problem:
        """A mistake in this declaration; ``place``: of the part that is wrong, where that is known."""
        return Problem(code, str(self.ref), found, expected, mend, place or self.place)

    def duration_problem(self, what: str, text: Any, place: Place | None = None) -> Iterator[Problem]:
        """A problem when ``text`` is given and is no duration."""
        if text is not None and duration(text) is None:
            yield self.problem(
                "duration-invalid",
                f"{what} is {text!r}",
                expected="a duration such as 30d, 12h, 90m, 1h30m or 0s",
                place=place,
            )

    def signature_problem(self, function: Any, count: int, what: str) -> Iterator[Problem]:
        """A problem when a function cannot be called with so many arguments, or answers later."""
        yield from self.coroutine_problem(function)
        try:
            inspect.signature(function).bind(*range(count))
        except (TypeError, ValueError) as error:
            yield self.problem("signature-wrong", f"its function cannot take {what}: {error}", expected=what)

    def coroutine_problem(self, function: Any) -> Iterator[Problem]:
        """A problem when a function is asynchronous or a generator: nobody would wait for what it makes."""
        if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            yield self.problem("function-invalid", "its function returns before it is done", expected="def and return")

    def instant_problem(self, what: str, text: Any) -> Iterator[Problem]:
        """A problem when ``text`` is given and is no instant."""
        if text is not None and instant(text) is None:
            yield self.problem(
                "instant-invalid", f"{what} is {text!r}", expected="an ISO 8601 instant such as 2024-06-01"
            )

    def timezone_problem(self, timezone: Any) -> Iterator[Problem]:
        """A problem when a time zone is given that nobody knows."""
        try:
            if timezone is not None:
                ZoneInfo(timezone)
        except (KeyError, ValueError, OSError, TypeError):
            yield self.problem(
                "timezone-unknown", f"the time zone is {timezone!r}", expected="a name such as Europe/Berlin"
            )


def duration(text: Any) -> int | None:
    """Microseconds, or None for what is no duration."""
    try:
        return parse_duration(text)
    except (ValueError, TypeError):
        return None


def instant(text: Any) -> int | None:
    """UTC microseconds, or None for what is no instant."""
    try:
        return parse_instant(text)
    except (ValueError, TypeError, OverflowError):
        return None


def frozen_mapping(value: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """A copy that nobody changes, in the same order."""
    return MappingProxyType(dict(value))


def tuple_of(value: Any) -> tuple[Any, ...]:
    """One thing or several as a tuple."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, tuple | list) else (value,)
