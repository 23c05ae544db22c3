"""One tree of errors. Each says: which object, where it was declared, what was found, what was expected, the mend."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Place:
    """Where a declaration was written."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake, complete enough to be mended without reading our code."""

    code: str
    subject: str
    found: str
    expected: str = ""
    mend: str = ""
    place: Place | None = None

    def __str__(self) -> str:
        lines = [f"{self.subject}: {self.found}  [{self.code}]"]
        if self.place is not None:
            lines.append(f"  at        {self.place}")
        if self.expected:
            lines.append(f"  expected  {self.expected}")
        if self.mend:
            lines.append(f"  mend      {self.mend}")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """The problem as plain data, for ``--json`` and HTTP."""
        return asdict(self)


class InseamError(Exception):
    """The root. ``code`` is stable; ``exit_code`` is what the command line returns."""

    code: ClassVar[str] = "inseam"
    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        subject: str,
        found: str,
        *,
        expected: str = "",
        mend: str = "",
        place: Place | None = None,
    ) -> None:
        self.problems: tuple[Problem, ...] = (Problem(self.code, subject, found, expected, mend, place),)
        super().__init__(str(self.problems[0]))

    def __reduce__(self) -> tuple[Any, ...]:
        """Whole when it crosses to another process."""
        return type(self).of, (self.problems,)

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> InseamError:
        """One error that carries many problems, so that a user mends them in one go."""
        listed: Sequence[Problem] = tuple(problems)
        error = cls.__new__(cls)
        error.problems = tuple(listed)
        Exception.__init__(error, "\n\n".join(str(problem) for problem in listed))
        return error


class DefinitionError(InseamError):
    """What the user declared cannot be right, whatever the data."""

    code = "definition"
    exit_code = 2


class DataError(InseamError):
    """The data is not what the declaration says."""

    code = "data"
    exit_code = 3


class NotFoundError(InseamError):
    """Something was named that does not exist (yet)."""

    code = "not-found"
    exit_code = 4


class ConflictError(InseamError):
    """Another process holds or has changed what this one wanted to change."""

    code = "conflict"
    exit_code = 5


class RefusedError(InseamError):
    """A gate or a safeguard said no: the request was understood and not done."""

    code = "refused"
    exit_code = 6


class SettingError(InseamError):
    """A setting, an environment or a credential is missing or malformed."""

    code = "setting"
    exit_code = 7


class ExtraMissingError(InseamError):
    """An optional library is not installed."""

    code = "extra-missing"
    exit_code = 8

    @classmethod
    def for_library(cls, library: str, extra: str) -> ExtraMissingError:
        return cls(
            library,
            "the library is not installed",
            mend=f"pip install 'inseam[{extra}]'",
        )


class UnsafeArtifactError(InseamError):
    """An artefact does not have the digest or the types that its loader allows."""

    code = "unsafe-artifact"
    exit_code = 9


class UnavailableError(InseamError):
    """A server that is needed does not answer now; the same may succeed later."""

    code = "unavailable"
    exit_code = 10
