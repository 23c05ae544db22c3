"""Every setting of inseam.toml with its default and variable, and what a server is told."""

from __future__ import annotations

import dataclasses
from typing import Any

from markdown import code, prose, table
from source import constant_texts, field_texts, modules

from inseam.run.settings import Settings
from inseam.stages.serve.settings import CHOICES, PREFIX, ServeSettings

PROJECT = {"project": "name", "definitions": "definitions"}
"""Settings of the table [project], by what the file calls them; the others belong to an environment."""

_INTRO = """
The nearest `inseam.toml` at or above the working directory (or `--project`) is the project's. `--env NAME` or
`INSEAM_ENVIRONMENT` chooses one of its environments; `default` need not be written. A variable overrides the file.

```toml
[project]
name = "shop"

[environments.default]
memory = "2GB"

[environments.production]
home = "/var/lib/shop"
ledger = "postgresql://shop@db/ledger"

[environments.production.serve]
workers = 4
durability = "disk"
```
"""


def page() -> str:
    texts = field_texts("run/settings.py", "Settings")
    fields = {field.name: field for field in dataclasses.fields(Settings)}
    project = [(code(PROJECT[name]), _default(fields[name]), prose(texts[name])) for name in PROJECT]
    chosen = [name for name in fields if name not in (*PROJECT, "root", "environment", "serve")]
    rows = [(code(n), code(f"INSEAM_{n.upper()}"), _default(fields[n]), prose(texts[n])) for n in chosen]
    served = field_texts("stages/serve/settings.py", "ServeSettings")
    bounds = {field.name: field for field in dataclasses.fields(ServeSettings)}
    serve = [(code(n), code(f"{PREFIX}{n.upper()}"), _default(bounds[n]), prose(served[n])) for n in CHOICES]
    return "\n".join(
        [
            _INTRO.strip() + "\n\n## `[project]`\n",
            table(("setting", "default", "what it is"), project),
            "## `[environments.NAME]`\n",
            table(("setting", "variable", "default", "what it is"), rows),
            "## `[environments.NAME.serve]`\n",
            prose(ServeSettings.__doc__ or "") + " `inseam serve --set NAME=VALUE` overrides a variable.\n",
            table(("setting", "variable", "default", "what it is"), serve),
            "## Variables without a setting\n",
            table(("variable", "what it is"), _variables()),
        ]
    )


def _variables() -> list[tuple[str, str]]:
    found = [("`INSEAM_ENVIRONMENT`", "The environment, where `--env` does not name it.")]
    for path, tree in modules("stages/serve"):
        for _, value, text in constant_texts(path, tree):
            if str(value).startswith("INSEAM_") and text:
                found.append((code(str(value)), prose(text).removeprefix("Environment variable: ").capitalize()))
    return found


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is dataclasses.MISSING:
        return "the directory's name" if field.name == "project" else "the project's name"
    return code(str(field.default)) if field.default != "" else "empty"
