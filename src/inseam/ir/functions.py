"""User functions travel as references: module, qualified name and the digest of what their source means."""

from __future__ import annotations

import ast
import hashlib
import importlib
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from inseam.kernel.errors import DefinitionError, NotFoundError
from inseam.kernel.frozen import METADATA


@dataclass(frozen=True, slots=True)
class FunctionRef:
    """A function by where it lives (metadata: a move changes nothing) and by what it means (its digest)."""

    module: str = field(metadata=METADATA)
    qualname: str = field(metadata=METADATA)
    digest: str

    @classmethod
    def of(cls, function: Callable[..., Any]) -> FunctionRef:
        return cls(function.__module__, function.__qualname__, source_digest(function))

    def resolve(self) -> Callable[..., Any]:
        """Import the function and hold it to its digest.

        A declaration may have taken the function's name (a decorator returns the declaration): its ``function``
        attribute is then the function itself.
        """
        try:
            found: Any = importlib.import_module(self.module)
            for part in self.qualname.split("."):
                found = getattr(found, part)
        except (ImportError, AttributeError) as error:
            raise NotFoundError(f"{self.module}.{self.qualname}", f"the function cannot be imported: {error}") from None
        function: Callable[..., Any] = getattr(found, "function", found)
        if source_digest(function) != self.digest:
            raise DefinitionError(
                f"{self.module}.{self.qualname}",
                "the function's source has changed since this step was planned",
                mend="run `inseam plan` and `inseam apply` again",
            )
        return function


def source_digest(function: Callable[..., Any]) -> str:
    """Digest of a function's meaning: comments, docstrings, formatting and the names of locals don't count.

    Functions of the same top-level package that it calls by name count too, and so do the plain constants that it
    reads from its module.
    """
    return hashlib.sha256("\n".join(_meanings(function, set())).encode()).hexdigest()[:32]


def _meanings(function: Callable[..., Any], seen: set[str]) -> list[str]:
    name = f"{function.__module__}.{function.__qualname__}"
    if name in seen:
        return []
    seen.add(name)
    tree = _definition(function)
    _Plain().visit(tree)
    texts = [ast.dump(tree)]
    package = function.__module__.partition(".")[0]
    namespace = getattr(function, "__globals__", {})
    used = sorted({node.id for node in ast.walk(tree) if isinstance(node, ast.Name)})
    for used_name in used:
        value = namespace.get(used_name)
        value = getattr(value, "function", value)
        if inspect.isfunction(value) and value.__module__.partition(".")[0] == package:
            texts += _meanings(value, seen)
        elif isinstance(value, bool | int | float | str | tuple):
            texts.append(f"{used_name}={value!r}")
    return texts


def _definition(function: Callable[..., Any]) -> ast.AST:
    try:
        source = textwrap.dedent(inspect.getsource(function))
        body = ast.parse(source).body[0]
    except (OSError, TypeError, SyntaxError, IndexError):
        code = getattr(function, "__code__", None)
        raise DefinitionError(
            getattr(function, "__qualname__", repr(function)),
            "the function's source cannot be read" if code is not None else "this is not a Python function",
            expected="a function defined with `def` in a module of the project",
        ) from None
    return body


class _Plain(ast.NodeTransformer):
    """Strips what carries no meaning: decorators, docstring, annotations' quoting, names of locals."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.decorator_list = []
        node.name = "_"
        first = node.body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            node.body = node.body[1:] or [ast.Pass()]
        stored = [n for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
        renamed: dict[str, str] = {}
        for name in stored:
            renamed.setdefault(name.id, f"_{len(renamed)}")
        for child in ast.walk(node):
            if isinstance(child, ast.Name) and child.id in renamed:
                child.id = renamed[child.id]
        return node
