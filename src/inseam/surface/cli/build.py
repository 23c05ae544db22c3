from __future__ import annotations

from typing import Annotated

import typer

from inseam.kernel.clock import format_instant
from inseam.surface.cli import options, terminal
from inseam.surface.cli.session import workspace


def build(
    training_set: Annotated[str, typer.Argument(help="A training set.")],
    project: options.Project = options.HERE,
    environment: options.Environment = None,
    json: options.Json = False,
) -> None:
    """Write a training set once under its fingerprint.

    Example: inseam build will_lapse
    """
    with workspace(project, environment) as opened, terminal.bars(is_silent=json) as progress:
        record = opened.build(training_set, progress=progress)
    if json:
        terminal.print_json(record)
        return
    from rich.markup import escape

    counts = record.counts | {"split_at": format_instant(record.counts["split_at"])}
    terminal.table(f"Training set {record.name}", ("what", "value"), list(counts.items()))
    terminal.say(f"[dim]digest[/] {record.digest}")
    terminal.say(f"[dim]file[/]   {escape(record.path)}")
