from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from inseam.surface.cli import options, terminal
from inseam.surface.cli.session import workspace


def score(
    model: Annotated[str, typer.Argument(help="A model.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Parquet file; default: the Delta table scores/MODEL.")
    ] = None,
    spine: Annotated[Path | None, typer.Option(help="Parquet or CSV rows to score; default: every entity.")] = None,
    version: Annotated[int | None, typer.Option(help="A version; default: the champion.")] = None,
    as_of: options.AsOf = None,
    project: options.Project = options.HERE,
    environment: options.Environment = None,
    json: options.Json = False,
) -> None:
    """Batch inference, streamed to Parquet or Delta.

    Example: inseam score lapse --as-of 2024-12-01 --out scores.parquet
    """
    instant = options.instant(as_of, "--as-of")
    with workspace(project, environment) as opened, terminal.bars(is_silent=json) as progress:
        result = opened.score(model, out=out, as_of=instant, spine=spine, version=version, progress=progress)
    if json:
        terminal.print_json(result)
    elif result.is_repeated:
        terminal.say(f"nothing to add: {result.out} holds this scoring by {result.model}@{result.version} already")
    else:
        terminal.say(f"[bold]{result.rows:,}[/] rows scored by {result.model}@{result.version} into {result.out}")
