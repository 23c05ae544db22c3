from __future__ import annotations

from typing import Annotated

import typer

from inseam.surface.cli import options, terminal
from inseam.surface.cli.session import workspace


def promote(
    model: Annotated[str, typer.Argument(help="A model.")],
    version: Annotated[int | None, typer.Argument(help="Its version; default: the newest.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Promote although a gate said no; this is recorded.")] = False,
    project: options.Project = options.HERE,
    environment: options.Environment = None,
    json: options.Json = False,
) -> None:
    """Make a version champion: servers pick it up without dropping a request.

    Example: inseam promote lapse 3
    """
    with workspace(project, environment) as opened:
        alias = opened.promote(model, version, is_forced=force)
    if json:
        terminal.print_json(alias)
    else:
        terminal.say(f"[green]{alias.alias}[/] {model}@{alias.version}")
