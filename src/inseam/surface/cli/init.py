from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from inseam.surface.cli import options, terminal


def init(
    name: Annotated[str, typer.Argument(help="The project's name: lower-case letters, digits and _.")],
    directory: Annotated[Path | None, typer.Option("--directory", "-d", help="Where; default: ./NAME")] = None,
    json: options.Json = False,
) -> None:
    """Write a small, complete project.

    Example: inseam init shop && cd shop && inseam ingest --history && inseam apply
    """
    from inseam.surface.init.project import create

    where = directory or Path(name)
    written = create(where, name)
    if json:
        terminal.print_json({"directory": str(where), "files": [str(path) for path in written]})
        return
    terminal.say(f"[bold]{where}[/] is a project now. Next:\n")
    terminal.say(f"  cd {where}\n  inseam ingest --history\n  inseam apply\n  inseam train lapse\n  inseam serve")
