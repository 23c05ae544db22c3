from __future__ import annotations

from typing import Annotated

import typer

from inseam.surface.cli import options, terminal
from inseam.surface.cli.session import workspace


def compact(
    tables: Annotated[
        list[str] | None, typer.Argument(help="Tables, e.g. sources/orders; default: the prediction log, and all.")
    ] = None,
    project: options.Project = options.HERE,
    environment: options.Environment = None,
    json: options.Json = False,
) -> None:
    """Move the prediction log into its tables, and merge small files where a table has many: all of a named table.

    Example: inseam compact sources/orders --json
    """
    with workspace(project, environment) as opened, terminal.bars(is_silent=json) as progress:
        done = opened.compact(*(tables or ()), progress=progress)
    if json:
        terminal.print_json(done.as_dict())
        return
    for name, rows in done.moved.items():
        terminal.say(f"{name}  {rows} rows from the log")
    for name, merged in done.merged.items():
        terminal.say(f"{name}  {merged.before} files are {merged.after}  snapshot {merged.version}")
    if not done.moved and not done.merged:
        terminal.say("nothing to compact")
