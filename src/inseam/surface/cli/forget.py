from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from inseam.kernel.errors import RefusedError
from inseam.surface.cli import options, terminal
from inseam.surface.cli.session import workspace

if TYPE_CHECKING:
    from inseam.run.workspace import Workspace


def forget(
    entity: Annotated[str, typer.Argument(help="An entity, as it is declared.")],
    key: Annotated[str | None, typer.Argument(help="Its key, where that is one column.")] = None,
    cells: Annotated[
        list[str] | None, typer.Option("--key", "-k", help="COLUMN=VALUE of the key; repeat for composite keys.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    project: options.Project = options.HERE,
    environment: options.Environment = None,
    json: options.Json = False,
) -> None:
    """Erase an entity from everything that is kept, for good: tables with all snapshots, online rows, logs, training
    sets. Rows of it that come later are dropped. Goes on after a kill when it is run again.

    Example: inseam forget customer 123
    """
    given: str | dict[str, str] = options.pairs(cells, "--key") if key is None else key
    with workspace(project, environment) as opened, terminal.bars(is_silent=json) as progress:
        if not dry_run and not yes:
            _ask(opened, entity, given, is_silent=json)
        erasure = opened.forget(entity, given, is_dry_run=dry_run, progress=progress)
    if json:
        terminal.print_json(erasure.as_dict())
        return
    _show(erasure.erased, erasure.left, is_dry_run=dry_run)


def _ask(opened: Workspace, entity: str, given: str | dict[str, str], *, is_silent: bool) -> None:
    if is_silent or not sys.stdin.isatty():
        raise RefusedError(f"entity:{entity}", "nobody can be asked whether it is meant", mend="add --yes")
    found = opened.forget(entity, given, is_dry_run=True)
    _show(found.erased, found.left, is_dry_run=True)
    if not typer.confirm(f"Erase this {entity} for good?", err=True):
        raise RefusedError(f"entity:{entity}", "it was not forgotten", expected="yes")


def _show(erased: dict[str, int], left: dict[str, str], *, is_dry_run: bool) -> None:
    terminal.table("Would be erased" if is_dry_run else "Erased", ("place", "rows"), list(erased.items()))
    if left:
        terminal.table("Left", ("place", "why"), list(left.items()))
