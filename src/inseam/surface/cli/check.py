from __future__ import annotations

import typer

from inseam.kernel.errors import DefinitionError
from inseam.surface.cli import options, terminal
from inseam.surface.cli.session import warn, workspace


def check(
    project: options.Project = options.HERE,
    environment: options.Environment = None,
    json: options.Json = False,
    strict: options.Strict = False,
) -> None:
    """Find every mistake in the definitions, all at once. Exit code 2 when there is one.

    Uses of what is deprecated are warnings.

    Example: inseam check --json
    """
    with workspace(project, environment) as opened:
        problems = opened.check()
        count = len(opened.context.declared.declarations)
        warnings = () if problems else warn(opened, is_strict=strict)
    if json:
        told = {"problems": problems, "warnings": warnings}
        terminal.print_json({name: [each.as_dict() for each in listed] for name, listed in told.items()})
    elif problems:
        terminal.print_problems(problems)
    else:
        terminal.say(f"[green]no mistakes[/] in {count} definitions")
    if problems:
        raise typer.Exit(DefinitionError.exit_code)
