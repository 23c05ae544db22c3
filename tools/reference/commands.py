"""Every verb of the command line, as the command line itself knows it."""

from __future__ import annotations

from typing import Any

import typer.main
from markdown import code, prose, table

from inseam.surface.cli.main import app

_EXAMPLE = "Example: "


def page() -> str:
    root: Any = typer.main.get_command(app)
    parts = [
        "Every verb takes `-h`. Results go to stdout, progress and errors to stderr; `--json` gives one document on "
        "stdout. Exit codes: [errors.md](errors.md).\n",
        table(("verb", ""), [(f"[{name}](#inseam-{name})", _first_line(verb)) for name, verb in root.commands.items()]),
    ]
    return "\n".join([*parts, *(_verb(name, verb) for name, verb in root.commands.items())])


def _first_line(verb: Any) -> str:
    return prose(verb.help).splitlines()[0]


def _verb(name: str, verb: Any) -> str:
    text, _, example = prose(verb.help).partition(_EXAMPLE)
    arguments = [p for p in verb.params if p.param_type_name == "argument"]
    options = [p for p in verb.params if p.param_type_name == "option"]
    usage = " ".join(["inseam", name, *(["[OPTIONS]"] if options else []), *map(_argument, arguments)])
    parts = [f"## inseam {name}\n", f"{text.strip()}\n", f"```\n{usage}\n```\n", f"Example: `{example.strip()}`\n"]
    if arguments:
        rows = [(code(_argument(p)), p.help or "", _default(p)) for p in arguments]
        parts.append(table(("argument", "what it is", "default"), rows))
    rows = [(_option(p), _help(p), _default(p)) for p in options]
    return "\n".join([*parts, table(("option", "what it does", "default"), rows)])


def _argument(p: Any) -> str:
    text = p.name.upper() + ("..." if p.nargs == -1 else "")
    return text if p.required else f"[{text}]"


def _option(p: Any) -> str:
    names = ", ".join(code(opt) for opt in p.opts)
    return names if p.is_flag else f"{names} {code(p.name.upper())}"


def _help(p: Any) -> str:
    repeated = " May be repeated." if p.multiple else ""
    variable = f" Environment: {code(str(p.envvar))}." if p.envvar else ""
    return f"{p.help or ''}{repeated}{variable}"


def _default(p: Any) -> str:
    if p.required:
        return "required"
    return "" if p.default is None or p.default is False else code(str(p.default))
