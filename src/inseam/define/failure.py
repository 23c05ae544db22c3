"""What a user's module raised, as problems at the user's own lines."""

from __future__ import annotations

import sys
import traceback
from dataclasses import replace
from pathlib import Path

from inseam.kernel.errors import DefinitionError, Place, Problem
from inseam.kernel.names import nearest


def problems_of(error: BaseException, module: str, declared: str | None, root: Path) -> tuple[Problem, ...]:
    """What was raised while a module, or what it ``declared`` just then, was made, at the user's line."""
    if isinstance(error, DefinitionError):
        return tuple(of_declaration(declared, problem) for problem in error.problems)
    return (
        Problem(
            DefinitionError.code,
            declared or f"module {module}",
            f"importing it failed: {type(error).__name__}: {error}",
            mend=_mend(error)
            or "mend the module, or set `definitions` in inseam.toml to the package that declares things",
            place=_place_of(error, root),
        ),
    )


def of_declaration(declared: str | None, problem: Problem) -> Problem:
    """The problem as one of the declaration, when its subject is a part without a name of its own."""
    if declared is None or ":" in problem.subject:
        return problem
    return replace(problem, subject=declared, found=f"{problem.subject}: {problem.found}")


def _mend(error: BaseException) -> str:
    """The nearest name to one that Python did not know."""
    if isinstance(error, NameError) and error.__traceback__ is not None:
        *_, (frame, _line) = traceback.walk_tb(error.__traceback__)
        near = nearest(str(error.name), {**frame.f_globals, **frame.f_locals})
    elif isinstance(error, AttributeError) and error.name is not None:
        near = nearest(error.name, dir(error.obj))
    elif isinstance(error, ModuleNotFoundError):
        return "" if error.name is None else f"install or correct {error.name!r}, or set `definitions` in inseam.toml"
    elif isinstance(error, ImportError) and "circular import" in str(error):
        return "move what both modules need into a third one, which imports neither"
    elif isinstance(error, ImportError) and error.name in sys.modules:
        missing = str(error).partition("cannot import name '")[2].partition("'")[0]
        near = nearest(missing, dir(sys.modules[error.name]))
    else:
        near = None
    return f"did you mean {near!r}?" if near is not None else ""


def _place_of(error: BaseException, root: Path) -> Place | None:
    """The innermost line of the project itself."""
    if isinstance(error, SyntaxError) and error.filename:
        return Place(error.filename, error.lineno or 0)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).is_relative_to(root) and "site-packages" not in frame.filename:
            return Place(frame.filename, frame.lineno or 0)
    return None
