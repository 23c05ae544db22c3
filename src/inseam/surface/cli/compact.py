from __future__ import annotations

from inseam.surface.cli import options, terminal
from inseam.surface.cli.session import workspace


def compact(
    project: options.Project = options.HERE, environment: options.Environment = None, json: options.Json = False
) -> None:
    """Move the sealed segments of the prediction log into Delta tables, each exactly once.

    Example: inseam compact --json
    """
    with workspace(project, environment) as opened:
        counts = opened.compact()
    if json:
        terminal.print_json(counts)
    else:
        terminal.say(str(counts))
