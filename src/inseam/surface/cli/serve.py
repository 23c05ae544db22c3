from __future__ import annotations

from typing import Annotated, Optional

import typer

from inseam.surface.cli import options
from inseam.surface.cli.session import warn, workspace


def serve(
    host: Annotated[
        Optional[str],  # noqa: UP045 - typer evaluates the annotation
        typer.Option(help="Beyond this machine, tokens are needed: INSEAM_SERVE_TOKENS. Default: 127.0.0.1."),
    ] = None,
    port: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=0, max=65_535, help="0 takes a free one. Default: 8000."),
    ] = None,
    workers: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, max=256, help="Worker processes. Default: 1."),
    ] = None,
    set_: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--set", metavar="NAME=VALUE", help="Any setting of the table serve, such as durability=disk."),
    ] = None,
    allow_open: Annotated[
        bool, typer.Option("--allow-open", help="Serve beyond this machine although no token guards it.")
    ] = False,
    project: options.Project = options.HERE,
    environment: options.Environment = None,
    strict: options.Strict = False,
) -> None:
    """Serve every endpoint over HTTP: docs at /docs, metrics at /metrics. Promotions are picked up live.

    Options override variables (INSEAM_SERVE_NAME), and those override the environment's table serve in inseam.toml.

    Example: inseam serve --port 8080 --workers 2
    """
    told = options.pairs(set_, "--set")
    named = {"host": host, "port": port, "workers": workers}
    with workspace(project, environment) as opened:
        warn(opened, *(f"endpoint:{name}" for name in opened.endpoints()), is_strict=strict)
        opened.serve(**told | {k: v for k, v in named.items() if v is not None}, is_open_allowed=allow_open)
