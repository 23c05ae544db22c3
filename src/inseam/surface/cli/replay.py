from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from inseam.kernel.clock import DAY, format_instant
from inseam.kernel.types import DataType
from inseam.surface.cli import options, terminal
from inseam.surface.cli.session import workspace

if TYPE_CHECKING:
    from inseam.run.receipt import Receipt

DIFFERS = 11
"""Exit code when the recomputed prediction is not the logged one."""


def replay(
    prediction: Annotated[str, typer.Argument(help="A prediction's id, as the server answered it.")],
    project: options.Project = options.HERE,
    environment: options.Environment = None,
    json: options.Json = False,
) -> None:
    """The receipt of a served prediction, and its recomputation bit for bit. Exit code 11 when it differs.

    Example: inseam replay 0199c0de-7a2b-7cc3-9d4e-6f8a1b2c3d4e
    """
    with workspace(project, environment) as opened:
        replayed = opened.replay(prediction)
    if json:
        terminal.print_json(replayed.as_dict())
    else:
        show_receipt(replayed.receipt)
        if replayed.is_equal:
            terminal.say(f"[green]equal[/]: {replayed.compared} values recomputed, the same to the last bit")
        else:
            types = replayed.receipt.types
            rows = [
                (d.what, *(shown(v, types.get(d.what.rpartition(".")[2])) for v in (d.logged, d.recomputed)), d.why)
                for d in replayed.differences
            ]
            terminal.table("Differences", ("value", "logged", "recomputed", "why"), rows)
    if not replayed.is_equal:
        raise typer.Exit(DIFFERS)


def show_receipt(made: Receipt) -> None:
    told, model = made.prediction, made.model
    snapshots = made.training_set.snapshots if made.training_set is not None else {}
    tables = [f"{table}@{version}" for table, version in snapshots.items()]
    facts = [
        ("prediction", told.id),
        ("at", format_instant(told.at)),
        ("endpoint", told.endpoint),
        ("model", f"{told.model}@{told.model_version}  digest {told.model_digest[:16]}"),
        ("training set", f"{model.training_set_digest[:16]} of {', '.join(tables) or 'unknown tables'}"),
        *((name, str(value)) for name, value in model.provenance.items() if isinstance(value, str | int | bool)),
        ("output", ", ".join(repr(v) for v in told.output)),
    ]
    terminal.table("Receipt", ("what", "value"), facts)
    views = [
        (
            name,
            None if read.boundary is None else format_instant(read.boundary),
            read.version,
            read.is_stale,
            read.is_missing,
        )
        for name, read in told.views.items()
    ]
    terminal.table("Views", ("view", "boundary", "snapshot", "stale", "missing"), views)
    values = {**told.keys, **told.inputs, **told.features, **told.derived}
    terminal.table("Values", ("name", "value"), [(n, shown(v, made.types.get(n))) for n, v in values.items()])


def shown(value: Any, type_: DataType | None) -> str:
    """A value of the prediction log as people write it, to the last digit."""
    if value is None:
        return "-"
    if type_ is DataType.BOOL:
        return "true" if value else "false"
    if type_ is DataType.TIMESTAMP:
        return format_instant(int(value))
    if type_ is DataType.DATE:
        return format_instant(int(value) * DAY).partition("T")[0]
    if type_ is DataType.INT64 and float(value).is_integer():
        return str(int(value))
    return str(value)
