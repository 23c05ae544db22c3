from __future__ import annotations

from typing import Annotated

import typer

from inseam.surface.cli import options, terminal
from inseam.surface.cli.session import workspace


def apply(
    project: options.Project = options.HERE,
    environment: options.Environment = None,
    json: options.Json = False,
    destroy: Annotated[bool, typer.Option("--destroy", help="Allow to destroy data that nothing declares.")] = False,
    expected: Annotated[
        str | None, typer.Option("--expected", help="Refuse when the plan's fingerprint is another by now.")
    ] = None,
    as_of: options.AsOf = None,
) -> None:
    """Record the definitions and recompute what they changed. Safe to repeat, goes on after a kill.

    Example: inseam apply --expected "$(inseam plan --json | jq -r .fingerprint)"
    """
    instant = options.instant(as_of, "--as-of")
    from inseam.plan.diff import Change

    with workspace(project, environment) as opened, terminal.bars(is_silent=json) as progress:
        applied = opened.apply(expected=expected, can_destroy=destroy, as_of=instant, progress=progress)
    if json:
        terminal.print_json({"plan": applied.plan.as_dict(), "done": applied.done, "left": applied.left})
        return
    changed = sum(c.change is not Change.UNCHANGED for c in applied.plan.changes)
    terminal.say(f"[green]applied[/] {changed} changed definitions")
    for work in applied.done:
        terminal.say(f"[green]done[/] {work.verb} {work.subject}")
    for work in applied.left:
        terminal.say(f"[yellow]left[/] {work.subject}: {work.reason}; run [bold]inseam {work.verb} {work.subject}[/]")
