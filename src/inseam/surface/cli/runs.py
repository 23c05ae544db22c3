from __future__ import annotations

from typing import Annotated

import typer

from inseam.kernel.clock import format_instant
from inseam.surface.cli import options, terminal
from inseam.surface.cli.session import workspace


def runs(
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    project: options.Project = options.HERE,
    environment: options.Environment = None,
    json: options.Json = False,
) -> None:
    """The newest runs: what was done, when, and what came of it.

    Example: inseam runs --limit 5
    """
    with workspace(project, environment) as opened:
        found = opened.runs(limit=limit)
    if json:
        terminal.print_json(found)
        return
    rows = [
        (
            r.step,
            r.subject,
            r.status,
            format_instant(r.started_at),
            _seconds(r.started_at, r.finished_at),
            (r.error or "").partition("\n")[0],
        )
        for r in found
    ]
    terminal.table("Runs", ("step", "subject", "status", "started", "seconds", "error"), rows)


def _seconds(start: int, end: int | None) -> float | None:
    return None if end is None else (end - start) / 1e6
