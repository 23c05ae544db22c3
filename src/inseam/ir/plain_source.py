"""A definition's syntax tree without what carries no meaning: docstrings, annotations, the names of its variables."""

from __future__ import annotations

import ast
from collections.abc import Iterator

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_SCOPES = (*_FUNCTIONS, ast.ClassDef)


class Stripped(ast.NodeTransformer):
    """Removes docstrings, and annotations outside class bodies (there they declare fields)."""

    def __init__(self) -> None:
        self.is_in_class = False

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.body = _without_docstring(node.body)
        return self._within(node, is_class=True)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        self.generic_visit(node)
        if self.is_in_class:
            return node
        if node.value is None:
            return ast.copy_location(ast.Pass(), node)
        return ast.copy_location(ast.Assign([node.target], node.value), node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        node.body = _without_docstring(node.body)
        node.returns = None
        return self._within(node, is_class=False)

    def _within(self, node: ast.AST, *, is_class: bool) -> ast.AST:
        before, self.is_in_class = self.is_in_class, is_class
        self.generic_visit(node)
        self.is_in_class = before
        return node


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return body[1:] or [ast.Pass()]
    return body


def number_locals(tree: ast.AST) -> None:
    """Rename variables by the order in which they appear, one new name for one old one.

    Parameters keep their names: for an on-demand feature they are the columns that it reads.
    """
    fixed = fixed_names(tree)
    stored = (n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
    numbered = {name: f"_{place}" for place, name in enumerate(dict.fromkeys(s for s in stored if s not in fixed))}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in numbered:
            node.id = numbered[node.id]


def fixed_names(tree: ast.AST) -> set[str]:
    """Names bound by other means than plain assignment, or seen from outside: they can't be renamed alone."""
    fixed: set[str] = set()
    for node in ast.walk(tree):
        fixed.update(_bound_otherwise(node))
    return fixed


def _bound_otherwise(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.Global | ast.Nonlocal):
        yield from node.names
    elif isinstance(node, ast.alias):
        yield (node.asname or node.name).partition(".")[0]
    elif isinstance(node, _SCOPES):
        yield node.name
        if isinstance(node, ast.ClassDef):
            yield from (n.id for s in node.body for n in _assigned(s))
    elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name is not None:
        yield node.name
    elif isinstance(node, ast.MatchMapping) and node.rest is not None:
        yield node.rest


def _assigned(statement: ast.stmt) -> Iterator[ast.Name]:
    """The names that a statement of a class body makes into attributes."""
    if isinstance(statement, _SCOPES):
        return
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node
