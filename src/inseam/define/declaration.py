"""The base of all declarations: a name, a place, and the collection that a project's loading opens."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields
from inspect import isfunction
from pathlib import Path
from typing import Any, ClassVar

from inseam.ir.functions import FunctionRef
from inseam.kernel.clock import parse_duration
from inseam.kernel.errors import DefinitionError, Place, Problem
from inseam.kernel.frozen import METADATA, canonical
from inseam.kernel.names import Ref, is_name

_collected: ContextVar[list[Declaration] | None] = ContextVar("inseam_collected", default=None)
_PACKAGE = str(Path(__file__).parent.parent)


@contextmanager
def collecting() -> Iterator[list[Declaration]]:
    """Within this block each declaration that is made is also put into the list, in order."""
    found: list[Declaration] = []
    token = _collected.set(found)
    try:
        yield found
    finally:
        _collected.reset(token)


def caller_place() -> Place | None:
    """The nearest frame outside this package: where the user wrote it."""
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith((_PACKAGE, "<string>", "<frozen")):
            return Place(file, frame.f_lineno)
        frame = frame.f_back  # type: ignore[assignment]
    return None


@dataclass(frozen=True, kw_only=True, eq=False)
class Declaration:
    """A named thing. ``owner``, ``description`` and ``tags`` are metadata: changing them recomputes nothing.

    Making one never fails for what it says: mistakes are kept as `problems` and reported all at once.
    """

    KIND: ClassVar[str] = "declaration"
    name: str
    owner: str = field(default="", metadata=METADATA)
    description: str = field(default="", metadata=METADATA)
    tags: tuple[str, ...] = field(default=(), metadata=METADATA)
    place: Place | None = field(default=None, compare=False, repr=False, metadata=METADATA)

    def __post_init__(self) -> None:
        self._set("tags", tuple_of(self.tags))
        if self.place is None:
            self._set("place", caller_place())
        collected = _collected.get()
        if collected is not None:
            collected.append(self)

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
        kept = (f.name for f in fields(self) if f.metadata.get("meaning", True))
        said = {name: getattr(self, name) for name in kept}
        return {"kind": self.KIND} | {
            name: FunctionRef.of(value).digest if isfunction(value) else canonical(value)
            for name, value in said.items()
        }

    def upstream(self) -> tuple[Declaration, ...]:
        """The declarations that this one is made from."""
        return ()

    def problems(self) -> Iterator[Problem]:
        """Mistakes that can be seen in this declaration alone."""
        if not isinstance(self.name, str) or not is_name(self.name):
            yield self.problem(
                "name-invalid",
                f"the name is {self.name!r}",
                expected="lower-case letters, digits and _, a letter first, at most 63 characters",
            )

    def problem(self, code: str, found: str, *, expected: str = "", mend: str = "") -> Problem:
        return Problem(code, str(self.ref), found, expected, mend, self.place)

    def duration_problem(self, what: str, text: str | None) -> Iterator[Problem]:
        """A problem when ``text`` is given and is no duration."""
        if text is None:
            return
        try:
            parse_duration(text)
        except (ValueError, TypeError):
            yield self.problem(
                "duration-invalid",
                f"{what} is {text!r}",
                expected="a duration such as 30d, 12h, 90m, 1h30m or 0s",
            )


def tuple_of(value: Any) -> tuple[Any, ...]:
    """One thing or several as a tuple."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def expect(value: Any, kinds: type | tuple[type, ...], subject: str, what: str) -> None:
    """Refuse a value of a wrong kind at once: nothing can be said about the rest when a reference is not one."""
    if not isinstance(value, kinds):
        names = [k.__name__ for k in (kinds if isinstance(kinds, tuple) else (kinds,))]
        raise DefinitionError(subject, f"{what} is {value!r}", expected=f"{' or '.join(names)}", place=caller_place())
