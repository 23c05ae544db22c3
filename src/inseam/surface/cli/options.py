"""Options that several verbs share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

Project = Annotated[
    Path, typer.Option("--project", "-p", help="A directory at or below the one with inseam.toml.", show_default=False)
]
Environment = Annotated[
    Optional[str],  # noqa: UP045 - typer evaluates the annotation
    typer.Option("--env", "-e", help="An environment of inseam.toml.", envvar="INSEAM_ENVIRONMENT"),
]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output on stdout.")]
Strict = Annotated[bool, typer.Option("--strict", help="Fail where something deprecated is used.")]
AsOf = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--as-of", help="An ISO instant to act as of, such as 2024-06-01T00:00:00Z. Default: now."),
]

HERE = Path()


def instant(text: str | None, option: str) -> int | None:
    """An ISO instant as UTC microseconds; a usage error names the option."""
    from inseam.kernel.clock import parse_instant

    if text is None:
        return None
    try:
        return parse_instant(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not an ISO instant such as 2024-06-01T00:00:00Z", param_hint=option
        ) from None


def duration(text: str | None, option: str) -> int | None:
    """A duration as microseconds; a usage error names the option."""
    from inseam.kernel.clock import parse_duration

    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def pairs(texts: list[str] | None, option: str) -> dict[str, str]:
    """``NAME=VALUE`` options as a mapping."""
    found: dict[str, str] = {}
    for text in texts or []:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint=option)
        found[name] = value
    return found
