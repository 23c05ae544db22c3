from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from inseam.surface.cli import options, terminal
from inseam.surface.cli.session import workspace


def docs(
    out: Annotated[
        Path | None,
        typer.Option("--out", help="An empty directory, or one that this wrote before.", show_default=False),
    ] = None,
    project: options.Project = options.HERE,
    environment: options.Environment = None,
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    json: options.Json = False,
) -> None:
    """Write the data dictionary: a static site with a page for each declaration and feature. Default: .inseam/docs.

    Example: inseam docs --out site
    """
    from inseam.surface.dictionary.site import write_site

    with workspace(project, environment) as opened:
        first = write_site(opened.context, out or opened.context.path("docs"))
    pages = len(list(first.parent.glob("*.html")))
    if json:
        terminal.print_json({"index": str(first), "pages": pages})
    else:
        terminal.say(f"[green]{pages} pages[/] {first}")
    if open_:
        typer.launch(first.resolve().as_uri())
