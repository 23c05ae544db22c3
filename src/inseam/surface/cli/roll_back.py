from __future__ import annotations

from typing import Annotated

import typer

from inseam.surface.cli import options, terminal
from inseam.surface.cli.session import workspace


def roll_back(
    model: Annotated[str, typer.Argument(help="A model.")],
    project: options.Project = options.HERE,
    environment: options.Environment = None,
    json: options.Json = False,
) -> None:
    """Make the champion before the present one champion again.

    Example: inseam rollback lapse
    """
    with workspace(project, environment) as opened:
        alias = opened.roll_back(model)
    if json:
        terminal.print_json(alias)
    else:
        terminal.say(f"[green]{alias.alias}[/] {model}@{alias.version}")
