from __future__ import annotations

from typing import Annotated

import typer

from inseam.surface.cli import options
from inseam.surface.cli.session import workspace


def serve(
    host: Annotated[
        str, typer.Option(help="Beyond this machine, tokens are needed: INSEAM_SERVE_TOKENS.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535)] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Worker processes.")] = 1,
    allow_open: Annotated[
        bool, typer.Option("--allow-open", help="Serve beyond this machine although no token guards it.")
    ] = False,
    project: options.Project = options.HERE,
    environment: options.Environment = None,
) -> None:
    """Serve every endpoint over HTTP: docs at /docs, metrics at /metrics. Promotions are picked up live.

    Example: inseam serve --port 8080 --workers 2
    """
    with workspace(project, environment) as opened:
        opened.serve(host=host, port=port, workers=workers, is_open_allowed=allow_open)
