"""What people and programs read: tables and JSON on stdout, progress and errors on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from inseam.kernel.errors import Problem
from inseam.ports.progress import Progress, silent

if TYPE_CHECKING:
    from rich.console import Console


def out() -> Console:
    from rich.console import Console

    return Console(highlight=False)


def err() -> Console:
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def print_json(data: Any) -> None:
    """One JSON document on stdout."""
    import msgspec

    text = msgspec.json.format(msgspec.json.encode(data, enc_hook=str), indent=2)
    sys.stdout.write(text.decode() + "\n")


def say(text: str) -> None:
    """One line of result, with Rich's markup; never broken, so that paths and digests can be copied."""
    out().print(text, soft_wrap=True)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table for people; numbers are set right."""
    from rich.table import Table
    from rich.text import Text

    made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    listed = [list(row) for row in rows]
    for place, column in enumerate(columns):
        is_number = bool(listed) and all(isinstance(row[place], int | float | None) for row in listed)
        made.add_column(column, justify="right" if is_number else "left", header_style="dim", overflow="fold")
    for row in listed:
        made.add_row(*(Text(cell(value)) for value in row))
    out().print(made)


def cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


def print_problems(problems: Iterable[Problem], *, style: str = "bold red") -> None:
    """Each problem with its code, place, what was expected and the mend, on stderr."""
    from rich.text import Text

    console = err()
    for problem in problems:
        console.print(
            Text.assemble((problem.subject, style), f": {problem.found}  ", (f"[{problem.code}]", "dim")),
            soft_wrap=True,
        )
        for what, told in (("at", problem.place), ("expected", problem.expected), ("mend", problem.mend)):
            if told:
                # Unwrapped: a place is there to be clicked on, a mend to be copied.
                console.print(Text.assemble((f"  {what:<9} ", "dim"), str(told)), soft_wrap=True)


@contextmanager
def bars(*, is_silent: bool = False) -> Iterator[Progress]:
    """Progress bars on stderr, one a thing; silence for programs and where stderr is no terminal."""
    if is_silent or not sys.stderr.isatty():
        yield silent
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=err(), transient=True) as drawn:
        tasks: dict[str, Any] = {}

        def report(what: str, done: int, total: int | None = None) -> None:
            if what not in tasks:
                tasks[what] = drawn.add_task(what, total=total)
            drawn.update(tasks[what], completed=done, total=total)

        yield report
