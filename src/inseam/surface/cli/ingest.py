from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from inseam.kernel.errors import InseamError
from inseam.surface.cli import options, terminal
from inseam.surface.cli.session import told, workspace

if TYPE_CHECKING:
    from inseam.ir.records import LoadRecord


def ingest(
    sources: Annotated[list[str] | None, typer.Argument(help="Sources to load; default: all.")] = None,
    history: Annotated[
        bool, typer.Option("--history", help="These rows were known when they happened: they are no late rows.")
    ] = False,
    complete_until: Annotated[
        str | None, typer.Option("--complete-until", help="ISO instant up to which the source is complete.")
    ] = None,
    project: options.Project = options.HERE,
    environment: options.Environment = None,
    json: options.Json = False,
) -> None:
    """Load what is new of sources into their tables; bad rows go to quarantine with file, line and reason.

    Example: inseam ingest orders --history
    """
    watermark = options.instant(complete_until, "--complete-until")
    loads: dict[str, LoadRecord | None] = {}
    try:
        with workspace(project, environment) as opened, terminal.bars(is_silent=json) as progress:
            opened.ingest(*(sources or ()), is_history=history, watermark=watermark, progress=progress, loads=loads)
    except InseamError as error:
        if json:  # the other sources were loaded
            raise told(error, is_json=True, loads=loads) from None
        raise
    finally:
        if loads and not json:
            _show(loads)
    if json:
        terminal.print_json(loads)


def _show(loads: Mapping[str, LoadRecord | None]) -> None:
    rows = [
        (name, 0, 0, 0, "nothing new")
        if load is None
        else (name, load.rows_in, load.rows_accepted, load.rows_quarantined, ", ".join(_told(load)))
        for name, load in loads.items()
    ]
    terminal.table("Loads", ("source", "rows in", "accepted", "quarantined", "findings"), rows)


def _told(load: LoadRecord) -> list[str]:
    dropped = {"ignored": load.rows_ignored, "forgotten": load.rows_forgotten}
    return [*load.findings, *(f"{count} {why}" for why, count in dropped.items() if count)]
