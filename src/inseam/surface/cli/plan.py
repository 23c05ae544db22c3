from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from inseam.surface.cli import options, terminal
from inseam.surface.cli.session import warn, workspace

if TYPE_CHECKING:
    from inseam.plan.diff import DefinitionChange, Plan, Work

CHANGES = 10
"""Exit code of ``--exit-code`` when there is something to apply."""


def plan(
    project: options.Project = options.HERE,
    environment: options.Environment = None,
    json: options.Json = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 10 when there is something to apply, for CI.")
    ] = False,
    strict: options.Strict = False,
) -> None:
    """Show what applying would change, what lies downstream of it, and what must be recomputed.

    Example: inseam plan --exit-code --json
    """
    with workspace(project, environment) as opened:
        made = opened.plan()
        warnings = warn(opened, is_strict=strict)
    if json:
        terminal.print_json(made.as_dict() | {"warnings": [warning.as_dict() for warning in warnings]})
    else:
        show_plan(made)
    if exit_code and not made.is_empty:
        raise typer.Exit(CHANGES)


def show_plan(made: Plan) -> None:
    """Changes with what they reach downstream, then the work."""
    from inseam.plan.diff import Change

    if made.is_empty:
        terminal.say("[green]nothing to do[/]: what is stored matches what is declared")
        return
    changed = [c for c in made.changes if c.change is not Change.UNCHANGED]
    if changed:
        rows = [(c.change.value, c.ref, ", ".join(c.fields or c.because)) for c in changed]
        terminal.table("Changes", ("change", "definition", "in, or because of"), rows)
    for change in (*made.of(Change.CHANGED), *made.of(Change.REMOVED)):
        show_reach(change)
    for change in (*made.of(Change.CHANGED), *made.of(Change.ALTERED)):
        if change.recompute:
            terminal.say(f"[bold]{change.ref}[/]: {change.recompute}")
    if made.work:
        work = [(w.verb, w.subject, w.reason, w.rows, _size(w.bytes), w.entities, _time(w)) for w in made.work]
        columns = ("verb", "subject", "reason", "rows to read", "size", "entities", "takes about")
        terminal.table("Work", columns, work)


def _size(count: int | None) -> str | None:
    from rich.filesize import decimal

    return None if count is None else decimal(count)


def _time(work: Work) -> str | None:
    """By earlier runs; what is priced and was never run says so."""
    from inseam.kernel.clock import SECOND, format_duration

    if work.seconds is None:
        return None if work.bytes is None else "unknown"
    return format_duration(math.ceil(work.seconds) * SECOND)


def show_reach(change: DefinitionChange) -> None:
    """The blast radius of one change."""
    if change.reaches:
        terminal.say(f"[bold]{change.ref}[/] reaches {', '.join(change.reaches)}")
