"""Calls of our own declarations in a user's statement, held against their signatures before they are made."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from inseam.kernel.errors import Place, Problem
from inseam.kernel.names import nearest

_OURS = __name__.rpartition(".")[0]
_DECORATORS = ("model", "on_demand", "transform")
_UNTOLD = ("place",)
"""Parameters that are not for users."""


@dataclass(frozen=True, slots=True)
class Mended:
    """``can_run``: with misspelt parameters put right, as they are now, the calls have all that they need.

    ``declared``: the reference of what the statement declares, or of the first thing of several.
    """

    problems: tuple[Problem, ...]
    can_run: bool
    declared: str | None


def mend_calls(statement: ast.stmt, names: Mapping[str, Any], file: str) -> Mended:
    """Find the misspelt and the missing parameters of a statement's calls, and put the misspelt ones right in it.

    So what the call declares can be made, and looked at for its other mistakes.
    """
    calls = _Calls(names, file)
    calls.visit(statement)
    return Mended(tuple(calls.problems), calls.can_run, calls.declared)


class _Calls(ast.NodeVisitor):
    """Walks what runs when the statement does: not the bodies of functions."""

    def __init__(self, names: Mapping[str, Any], file: str) -> None:
        self.names = names
        self.file = file
        self.problems: list[Problem] = []
        self.can_run = True
        self.declared: str | None = None
        self._subject: str | None = None
        self._function = ""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._function = node.name
        for decorator in node.decorator_list:
            self.visit(decorator)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        pass

    def visit_Call(self, node: ast.Call) -> None:
        callee = self._callee(node.func)
        outer = self._subject
        if callee is not None:
            self._subject = outer or self._reference(callee, node)
            self.declared = self.declared or self._subject
            self._check(callee, node)
        self.generic_visit(node)
        self._subject = outer

    def _callee(self, node: ast.expr) -> Callable[..., Any] | None:
        """The function or class of ours that is called, where that is plain to see."""
        found: Any = None
        if isinstance(node, ast.Name):
            found = self.names.get(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = self.names.get(node.value.id)
            found = getattr(module, node.attr, None) if isinstance(module, ModuleType) else None
        is_ours = callable(found) and str(getattr(found, "__module__", "")).startswith(f"{_OURS}.")
        return found if is_ours and hasattr(found, "__name__") else None

    def _reference(self, callee: Callable[..., Any], node: ast.Call) -> str | None:
        """The reference of what the call declares; None when it is no declaration."""
        kind = getattr(callee, "KIND", callee.__name__ if callee.__name__ in _DECORATORS else None)
        if kind is None:
            return None
        first = [] if kind == "on_demand" else node.args[:1]
        given = [keyword.value for keyword in node.keywords if keyword.arg == "name"] or first
        name = given[0].value if given and isinstance(given[0], ast.Constant) else self._function or "?"
        return f"{kind}:{name!s}"

    def _check(self, callee: Callable[..., Any], node: ast.Call) -> None:
        signature = inspect.signature(callee)
        known = [name for name in signature.parameters if name not in _UNTOLD]
        subject, expected = self._subject or callee.__name__, ", ".join(known)
        for keyword in list(node.keywords):
            if keyword.arg is not None and keyword.arg not in signature.parameters:
                near, given = nearest(keyword.arg, known), {other.arg for other in node.keywords}
                self.problems.append(
                    Problem(
                        "parameter-unknown",
                        subject,
                        f"{callee.__name__} has no parameter {keyword.arg!r}",
                        expected,
                        mend="leave it out" if near is None else f"did you mean {near!r}?",
                        place=Place(self.file, keyword.lineno),
                    )
                )
                if near is None or near in given:
                    node.keywords.remove(keyword)
                else:
                    keyword.arg = near
        if any(isinstance(argument, ast.Starred) for argument in node.args) or None in {k.arg for k in node.keywords}:
            return
        try:
            signature.bind(*node.args, **{str(keyword.arg): keyword.value for keyword in node.keywords})
        except TypeError as error:
            self.can_run = False
            place = Place(self.file, node.lineno)
            self.problems.append(
                Problem("parameter-missing", subject, f"{callee.__name__}: {error}", expected, place=place)
            )
