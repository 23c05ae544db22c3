from __future__ import annotations

import typer

from inseam.kernel.errors import DefinitionError
from inseam.surface.cli import options, terminal
from inseam.surface.cli.session import workspace


def check(
    project: options.Project = options.HERE, environment: options.Environment = None, json: options.Json = False
) -> None:
    """Find every mistake in the definitions, all at once. Exit code 2 when there is one.

    Example: inseam check --json
    """
    with workspace(project, environment) as opened:
        problems = opened.check()
        count = len(opened.context.declared.declarations)
    if json:
        terminal.print_json({"problems": [problem.as_dict() for problem in problems]})
    elif problems:
        terminal.print_problems(problems)
    else:
        terminal.say(f"[green]no mistakes[/] in {count} definitions")
    if problems:
        raise typer.Exit(DefinitionError.exit_code)
