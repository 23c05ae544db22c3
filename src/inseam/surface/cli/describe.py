from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from inseam.surface.cli import options, terminal
from inseam.surface.cli.session import workspace

if TYPE_CHECKING:
    from inseam.run.describe import Description


def describe(
    name: Annotated[str, typer.Argument(help="A declaration or a feature: spend, feature_view:spend, spend.n_30d.")],
    project: options.Project = options.HERE,
    environment: options.Environment = None,
    json: options.Json = False,
) -> None:
    """Show what is known of one thing: what it means, how fresh and full it is, who uses it.

    Example: inseam describe spend.orders_30d
    """
    with workspace(project, environment) as opened:
        found = opened.describe(name)
    if json:
        terminal.print_json(found.as_dict())
        return
    terminal.table(found.entry.ref, ("", ""), [(k, v) for k, v in _facts(found) if v not in ("", None)])
    if found.versions:
        columns = list(found.versions[0])
        terminal.table("Versions", columns, [[version.get(c) for c in columns] for version in found.versions[:10]])


def _facts(found: Description) -> list[tuple[str, Any]]:
    entry, column = found.entry, found.column
    facts: list[tuple[str, Any]] = [
        ("is", entry.definition),
        ("about", entry.description),
        ("deprecated", entry.deprecated),
        ("owner", entry.owner),
        ("tags", ", ".join(entry.tags)),
        ("columns", ", ".join(f"{name} {type_}".strip() for name, type_ in entry.columns.items())),
        ("features", ", ".join(ref.partition(":")[2] for ref in found.features)),
        ("made from", ", ".join(found.uses)),
        ("used by", ", ".join(found.used_by)),
    ]
    if found.freshness is not None:
        facts.append(("online", f"{found.freshness.boundary}, {found.freshness.rows:,} rows"))
        facts.append(("age", f"{found.freshness.age_seconds / 3600:,.1f} h"))
    if found.coverage is not None:
        facts.append(("entities with a row", f"{found.coverage:.1%}"))
    if column is not None:
        facts.append(("NULL", f"{column.null_rate:.1%} of {column.rows:,} training rows of {column.training_set}"))
        facts.append(("values", _bars([bar.share for bar in column.histogram])))
        facts += [
            (name, column.statistics[name])
            for name in ("mean", "std", "min", "max", "distinct")
            if name in column.statistics
        ]
    facts += [(f"importance in {model}", f"{share:.1%}") for model, share in found.importance.items()]
    return [*facts, ("at", entry.place)]


def _bars(shares: list[float]) -> str:
    """A histogram in one line; a bar that is not empty is seen."""
    most = max(shares, default=0.0)
    return "".join(" ▁▂▃▄▅▆▇█"[math.ceil(share / most * 8) if most else 0] for share in shares)
