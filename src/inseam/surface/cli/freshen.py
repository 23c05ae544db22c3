from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from inseam.surface.cli import options, terminal
from inseam.surface.cli.session import workspace

if TYPE_CHECKING:
    from inseam.run.freshening import Freshness


def freshen(
    views: Annotated[list[str] | None, typer.Argument(help="Feature views; default: all over streams.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Make one step of each view, and end.")] = False,
    project: options.Project = options.HERE,
    environment: options.Environment = None,
    json: options.Json = False,
) -> None:
    """Keep the views over streams fresh until interrupted: each boundary becomes readable when it is due.

    Example: inseam freshen spend
    """
    from inseam.kernel.clock import format_instant

    def say(step: Freshness) -> None:
        if json:
            terminal.print_json(step)
        elif once or step.rows:
            typer.echo(
                f"{step.view}  {format_instant(step.boundary)}  {step.rows} rows  {step.entities} entities  "
                f"{step.step_seconds:.2f} s  {step.behind_seconds:.1f} s behind"
            )

    with workspace(project, environment) as opened:
        opened.freshen(*(views or ()), is_once=once, told=say)
