from __future__ import annotations

from typing import Annotated, Any

import typer

from inseam.surface.cli import options, terminal
from inseam.surface.cli.session import workspace


def fetch(
    views: Annotated[list[str], typer.Argument(help="Feature views.")],
    key: Annotated[
        list[str], typer.Option("--key", "-k", help="COLUMN=VALUE of the entity; repeat for composite keys.")
    ],
    as_of: options.AsOf = None,
    project: options.Project = options.HERE,
    environment: options.Environment = None,
    json: options.Json = False,
) -> None:
    """Read an entity's online values, with the boundary of each view and whether it is stale or missing.

    Example: inseam fetch spend --key customer_id=42
    """
    entity = options.pairs(key, "--key")
    with workspace(project, environment) as opened:
        rows = opened.fetch(views, [entity], at=options.instant(as_of, "--as-of"))
    read = rows.as_dicts()[0]
    if json:
        terminal.print_json(read)
        return
    terminal.table("Features", ("feature", "value"), list(read["features"].items()))
    shown: list[tuple[Any, ...]] = [
        (name, view["boundary"], view["is_stale"], view["is_missing"]) for name, view in read["views"].items()
    ]
    terminal.table("Views", ("view", "boundary", "stale", "missing"), shown)
