from __future__ import annotations

from typing import Annotated

import typer

from inseam.surface.cli import options, terminal
from inseam.surface.cli.session import workspace


def materialize(
    views: Annotated[list[str] | None, typer.Argument(help="Feature views; default: all that are served.")] = None,
    as_of: options.AsOf = None,
    project: options.Project = options.HERE,
    environment: options.Environment = None,
    json: options.Json = False,
) -> None:
    """Write online rows at the newest boundary. Resumes where a killed one stopped.

    Example: inseam materialize spend --as-of 2024-12-01
    """
    from inseam.kernel.clock import format_instant

    instant = options.instant(as_of, "--as-of")
    with workspace(project, environment) as opened, terminal.bars(is_silent=json) as progress:
        written = opened.materialize(*(views or ()), as_of=instant, progress=progress)
    if json:
        terminal.print_json(written)
        return
    rows = [(name, record.rows, format_instant(record.boundary), record.version) for name, record in written.items()]
    terminal.table("Online rows", ("view", "rows", "boundary", "snapshot"), rows)
