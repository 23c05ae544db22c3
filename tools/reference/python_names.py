"""Every public name: how it is written, what it is, and an example that the tests run."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from markdown import prose, signature, split_example

import inseam
from inseam.define.declaration import Declaration

_ORDER = (
    "define.entity",
    "define.source",
    "define.transform",
    "define.check",
    "define.feature_view",
    "define.join",
    "define.aggregate",
    "define.derived",
    "define.on_demand",
    "define.training_set",
    "define.model",
    "define.endpoint",
    "define.example",
    "define.project",
    "run.workspace",
)
_INTRO = """
Examples are run by the tests, with the names of `inseam` imported. Every declaration also takes `owner`, `description`,
`tags` and `deprecated` (what to use instead); changing them recomputes nothing.
"""
_METADATA = ("owner", "description", "tags", "deprecated", "place")


def page() -> str:
    homes = inseam._HOMES
    assert set(homes) == set(_ORDER), "a module of public names has no place in the reference"
    parts = [_INTRO]
    for home in _ORDER:
        module = importlib.import_module(f"inseam.{home}")
        parts.append(f"## {prose(module.__doc__ or '').splitlines()[0]}\n")
        parts += [_entry(name, getattr(inseam, name)) for name in homes[home].split()]
    return "\n".join(parts)


def _entry(name: str, thing: Any) -> str:
    text, example = split_example(thing.__doc__ or "")
    parts = [f"### {name}\n", f"```python\n{_written(name, thing)}\n```\n", f"{text}\n"]
    if example:
        parts.append(f"```pycon\n{example}\n```\n")
    if name == "Workspace":
        parts += [_method(key, method) for key, method in vars(thing).items() if _is_verb(key, method)]
    return "\n".join(parts)


def _written(name: str, thing: Any) -> str:
    is_declaration = inspect.isclass(thing) and issubclass(thing, Declaration)
    return signature(name, thing, without=_METADATA if is_declaration else ())


def _is_verb(key: str, method: Any) -> bool:
    return inspect.isfunction(method) and not key.startswith("_")


def _method(name: str, method: Any) -> str:
    text, _ = split_example(method.__doc__ or "")
    return f"#### Workspace.{name}\n\n```python\n{signature(name, method)}\n```\n\n{text}\n"
