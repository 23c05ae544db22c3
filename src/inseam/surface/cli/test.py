from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from inseam.surface.cli import options, terminal
from inseam.surface.cli.session import workspace

if TYPE_CHECKING:
    from inseam.run.examples import ExampleResult

FAILED = 1
"""Exit code when an example fails."""


def test(
    names: Annotated[
        list[str] | None, typer.Argument(help="Examples, or what they are of: spend, feature_view:spend.")
    ] = None,
    project: options.Project = options.HERE,
    environment: options.Environment = None,
    json: options.Json = False,
) -> None:
    """Run the examples of the definitions: given rows, expected values. Exit code 1 when one fails.

    Example: inseam test spend
    """
    with workspace(project, environment) as opened:
        results = opened.test(*names or ())
    if json:
        terminal.print_json({"examples": [result.as_dict() for result in results]})
    else:
        show(results)
    if not all(result.is_passed for result in results):
        raise typer.Exit(FAILED)


def show(results: tuple[ExampleResult, ...]) -> None:
    """Each failure with its place and its values, then how many passed."""
    for result in results:
        if not result.is_passed:
            terminal.say(f"[bold red]{result.subject}[/]  {result.title}  [dim]{result.place or ''}[/]")
            terminal.print_problems(result.problems)
            if result.differences:
                rows = [(d.row, d.column, d.expected, d.found) for d in result.differences]
                terminal.table("", ("row", "column", "expected", "found"), rows)
    passed, spent = sum(result.is_passed for result in results), sum(result.milliseconds for result in results)
    if not results:
        terminal.say("no examples: declare one beside what it is of, with Example(...)")
    else:
        colour = "green" if passed == len(results) else "red"
        terminal.say(f"[{colour}]{passed} of {len(results)} examples passed[/] in {spent:,.0f} ms")
