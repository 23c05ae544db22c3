"""Markdown, and docstrings turned into it."""

from __future__ import annotations

import inspect
from collections.abc import Container, Iterable, Sequence
from typing import Any


def code(text: str) -> str:
    return f"`{text}`"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def prose(text: str) -> str:
    """A docstring's text as Markdown: literals in single backticks."""
    return inspect.cleandoc(text).replace("``", "`")


def split_example(docstring: str) -> tuple[str, str]:
    """The prose of a docstring and the doctest at its end, empty when there is none."""
    text, separator, example = inspect.cleandoc(docstring).partition(">>> ")
    return prose(text).strip(), (separator + example).strip()


def signature(name: str, thing: Any, *, without: Container[str] = ("self",)) -> str:
    """A call as it is written, one parameter a line when it is long."""
    found = inspect.signature(thing)
    parameters = [parameter for parameter in found.parameters.values() if parameter.name not in without]
    shown = [_parameter(parameter) for parameter in parameters]
    kinds = [parameter.kind for parameter in parameters]
    first_named = next((i for i, kind in enumerate(kinds) if kind is inspect.Parameter.KEYWORD_ONLY), None)
    if first_named is not None and inspect.Parameter.VAR_POSITIONAL not in kinds:
        shown.insert(first_named, "*")
    returns = found.return_annotation
    tail = "" if returns is inspect.Signature.empty or inspect.isclass(thing) else f" -> {returns}"
    line = f"{name}({', '.join(shown)}){tail}"
    if len(line) <= 100:
        return line
    return f"{name}(\n" + "".join(f"    {item},\n" for item in shown) + f"){tail}"


def _parameter(parameter: inspect.Parameter) -> str:
    text = str(parameter.replace(annotation=inspect.Parameter.empty, default=inspect.Parameter.empty))
    if parameter.annotation is not inspect.Parameter.empty:
        text += f": {parameter.annotation}"
    if parameter.default is not inspect.Parameter.empty:
        text += f" = {_default(parameter.default)}"
    return text


def _default(value: Any) -> str:
    if type(value).__name__ == "_HAS_DEFAULT_FACTORY_CLASS":
        return "..."
    return value.__name__ if inspect.isfunction(value) else repr(value)
