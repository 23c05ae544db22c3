from __future__ import annotations

from typing import Annotated

import typer

from inseam.surface.cli import options, terminal
from inseam.surface.cli.session import workspace


def consume(
    source: Annotated[str, typer.Argument(help="A source that is a stream.")],
    until_idle: Annotated[bool, typer.Option("--until-idle", help="End when nothing more is published.")] = False,
    project: options.Project = options.HERE,
    environment: options.Environment = None,
    json: options.Json = False,
) -> None:
    """Take in what Kafka or Redis Streams publish for a source until interrupted: kept durably, each message once.

    Example: inseam consume orders
    """
    with workspace(project, environment) as opened, terminal.bars(is_silent=json) as progress:
        taken = opened.consume(
            source,
            is_until_idle=until_idle,
            told=lambda problem: terminal.print_problems([problem], style="bold yellow"),
            progress=progress,
        )
    if json:
        terminal.print_json({"source": source, "consumed": taken})
    else:
        terminal.table("Consumed", ("source", "messages"), [(source, taken)])
