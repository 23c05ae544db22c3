from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from inseam.surface.cli import options, terminal
from inseam.surface.cli.session import workspace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inseam.run.lineage import Node


def lineage(
    name: Annotated[str, typer.Argument(help="A definition, MODEL@VERSION, or a prediction's id.")],
    project: options.Project = options.HERE,
    environment: options.Environment = None,
    json: options.Json = False,
) -> None:
    """What a thing was made from, and what is made from it.

    Example: inseam lineage spend
    """
    with workspace(project, environment) as opened:
        found = opened.lineage(name)
    if json:
        terminal.print_json(found.as_dict())
        return
    _show("Subject", [found.subject])
    _show("Upstream", found.upstream)
    _show("Downstream", found.downstream)


def _show(title: str, nodes: Sequence[Node]) -> None:
    if nodes:
        rows = [
            (
                n.ref,
                ", ".join(
                    f"{k}={terminal.cell(v)}"
                    for k, v in n.facts.items()
                    if v not in ("", None) and not isinstance(v, dict)
                ),
            )
            for n in nodes
        ]
        terminal.table(title, ("what", "known of it"), rows)
