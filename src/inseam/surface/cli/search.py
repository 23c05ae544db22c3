from __future__ import annotations

from typing import Annotated

import typer

from inseam.surface.cli import options, terminal
from inseam.surface.cli.session import workspace


def search(
    text: Annotated[str, typer.Argument(help="Words of a name, a tag, a column, an owner or a description.")],
    project: options.Project = options.HERE,
    environment: options.Environment = None,
    json: options.Json = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
) -> None:
    """Find declarations and features; all words must be found, the best match comes first.

    Example: inseam search "spend 30d"
    """
    with workspace(project, environment) as opened:
        found = opened.search(text)[:limit]
    if json:
        terminal.print_json({"matches": [match.as_dict() for match in found]})
    elif not found:
        terminal.say("nothing found")
    else:
        rows = [
            (m.entry.ref, m.entry.owner, "deprecated" if m.entry.deprecated else "", m.entry.definition) for m in found
        ]
        terminal.table(f"{len(found)} found", ("what", "owner", "", "what it is"), rows)
