"""Writes docs/reference from the code: `python tools/reference [DIRECTORY]`. A test fails when the two differ."""

from __future__ import annotations

import sys
from pathlib import Path

import commands
import errors
import http_routes
import python_names
import settings
from markdown import code, table

import ports

ROOT = Path(__file__).parents[2]
PAGES = {
    "python.md": ("The names of `inseam`", python_names.page),
    "cli.md": ("The command line", commands.page),
    "settings.md": ("Settings and environment variables", settings.page),
    "errors.md": ("Errors, exit codes, problem codes", errors.page),
    "http.md": ("The HTTP interface", http_routes.page),
    "ports.md": ("Ports and adapters", ports.page),
}
_NOTE = "<!-- Written by `python tools/reference` from the code. Change the code, then run it again. -->\n"


def main() -> None:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "reference"
    target.mkdir(parents=True, exist_ok=True)
    for name, (title, page) in PAGES.items():
        (target / name).write_text(f"{_NOTE}# {title}\n\n{page().strip()}\n", encoding="utf-8")
    rows = [(f"[{name}]({name})", title) for name, (title, _) in PAGES.items()]
    index = f"Written from the code by {code('python tools/reference')}; a test holds the two together."
    text = f"{_NOTE}# Reference\n\n{index}\n\n{table(('page', 'what it lists'), rows)}\n"
    (target / "README.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
