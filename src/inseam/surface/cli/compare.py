from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Optional

import typer

from inseam.surface.cli import options, terminal
from inseam.surface.cli.session import workspace

if TYPE_CHECKING:
    from inseam.stages.observe.compared import Compared, FeatureCompared

# typer evaluates the annotation.
_Against = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--against", help="The older version's fingerprint, or its beginning; default: the one before."),
]


def compare(
    view: Annotated[str, typer.Argument(help="A feature view.")],
    against: _Against = None,
    as_of: options.AsOf = None,
    sample: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many entities.")] = 10_000,
    project: options.Project = options.HERE,
    environment: options.Environment = None,
    json: options.Json = False,
) -> None:
    """Compute a changed view as it is declared and as it was, and compare values and distributions.

    Example: inseam compare spend --sample 100000
    """
    instant = options.instant(as_of, "--as-of")
    with workspace(project, environment) as opened:
        found = opened.compare(view, against=against, as_of=instant, sample=sample)
    if json:
        terminal.print_json(found.as_dict())
    else:
        _tell(found)


def _tell(found: Compared) -> None:
    was = "its online rows" if found.is_from_rows else "computed"
    terminal.say(
        f"[bold]{found.view}[/] {found.before[:8]} ({was}) and {found.after[:8]} at {found.at}: {found.rows:,} of "
        f"{found.population:,} entities, {found.only_before:,} only before, {found.only_after:,} only after"
    )
    columns = ("feature", "equal", "NULL before", "NULL after", "1 %", "median", "99 %", "distance")
    terminal.table("Features (new less old)", columns, map(_feature, found.features))
    for what, names in (("removed", found.removed), ("added", found.added), ("another type", found.retyped)):
        if names:
            terminal.say(f"[yellow]{what}[/] {', '.join(names)}")
    if found.differences:
        rows = [
            (", ".join(f"{key}={value}" for key, value in one.entity.items()), one.feature, one.before, one.after)
            for one in found.differences
        ]
        terminal.table("Differences", ("entity", "feature", "before", "after"), rows)


def _feature(one: FeatureCompared) -> tuple[object, ...]:
    shares = [None if not one.rows else f"{count / one.rows:.2%}" for count in (one.nulls_before, one.nulls_after)]
    # Never rounded up to all.
    equal = None if one.share is None else f"{int(one.share * 10_000) / 100:g} %"
    moved = (one.difference.get(share) for share in ("0.01", "0.5", "0.99"))
    return one.feature, equal, *shares, *moved, one.distance
