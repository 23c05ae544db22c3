"""How every verb runs: opens the workspace, and turns what goes wrong into a message and an exit code."""

from __future__ import annotations

import errno
import functools
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import current_thread, main_thread
from types import FrameType
from typing import TYPE_CHECKING, Any

import typer

from inseam.kernel.errors import DefinitionError, InseamError, Problem, SettingError
from inseam.surface.cli import terminal

if TYPE_CHECKING:
    from inseam.run.workspace import Workspace

INTERRUPTED = 130
_OF_THE_MACHINE = {
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "give the right to it, or name another place"),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EIO), "make room on a disk that is whole"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "raise the limit of open files (ulimit -n)"),
    **dict.fromkeys((errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP), "name another place"),
    errno.EFBIG: "raise the limit of a file's size (ulimit -f), or use another file system",
}
"""What is the user's to mend, and how."""


@contextmanager
def workspace(project: Path, environment: str | None) -> Iterator[Workspace]:
    """The opened workspace; what goes wrong in it is told with the place of the declaration that it is about."""
    from inseam.run.workspace import open as open_workspace

    with open_workspace(project, environment=environment) as opened:
        try:
            yield opened
        except InseamError as error:
            raise type(error).of(opened.context.placed(problem) for problem in error.problems) from error


def warn(opened: Workspace, *names: str, is_strict: bool) -> tuple[Problem, ...]:
    """Tell on stderr who uses something deprecated, and give it back; `DefinitionError` with all of it when strict."""
    found = opened.warnings(*names)
    if found and is_strict:
        raise DefinitionError.of(found)
    terminal.print_problems(found, style="bold yellow")
    return found


def verb(function: Callable[..., None]) -> Callable[..., None]:
    """No traceback for a user's error: its problems are printed and its exit code returned; Ctrl-C exits with 130."""

    @functools.wraps(function)
    def run(*arguments: Any, **options: Any) -> None:
        with _noted_interrupts() as interrupts:
            try:
                function(*arguments, **options)
            except typer.Exit:
                raise
            except (Exception, KeyboardInterrupt) as raised:
                if interrupts or isinstance(raised, KeyboardInterrupt):
                    terminal.err().print("interrupted; run the same command again to go on")
                    raise typer.Exit(INTERRUPTED) from None
                if not isinstance(raised, InseamError | OSError):
                    raise
                error = raised if isinstance(raised, InseamError) else _of_the_machine(raised)
                raise told(error, is_json=bool(options.get("json"))) from None

    return run


@contextmanager
def _noted_interrupts() -> Iterator[list[int]]:
    """Each Ctrl-C within: compiled libraries turn it into errors of their own. Where it is ignored, it stays so."""
    interrupts: list[int] = []
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler or current_thread() is not main_thread():
        yield interrupts
        return

    def note(number: int, _: FrameType | None) -> None:
        interrupts.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, note)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def told(error: InseamError, *, is_json: bool, **done: Any) -> typer.Exit:
    """Print the problems, as JSON with what was ``done`` all the same; to be raised."""
    if is_json:
        terminal.print_json({"problems": [problem.as_dict() for problem in error.problems], **done})
    else:
        terminal.print_problems(error.problems)
    return typer.Exit(error.exit_code)


def _of_the_machine(error: OSError) -> InseamError:
    """A file or disk that is not as it should be is the user's to mend; any other `OSError` is ours, and is raised."""
    if error.errno is None or error.errno not in _OF_THE_MACHINE:
        raise error
    mend = _OF_THE_MACHINE[error.errno]
    return SettingError(str(error.filename or "the disk"), os.strerror(error.errno), mend=mend)
