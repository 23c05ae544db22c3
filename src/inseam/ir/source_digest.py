"""What a function's source means, as a digest: comments, formatting and the names of variables don't count.

The source is parsed and stripped, locals are numbered, and each name from outside is replaced by what it stands for:
a function or class of the same package by its own source, what is imported by where it lives, a constant by its value.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from inseam.ir.plain_source import Stripped, fixed_names, number_locals
from inseam.kernel.errors import DefinitionError
from inseam.kernel.frozen import fingerprint

_MISSING = object()
_known: WeakKeyDictionary[Callable[..., Any], str] = WeakKeyDictionary()
"""Digests of the functions that this process holds: a file edited since does not change what they do."""


def source_digest(function: Callable[..., Any]) -> str:
    """32 hex digits. Counted: the body, and the functions, classes and constants of the same package that it uses.

    Not counted: what libraries do (their versions are recorded with what is made from them), and what an object of
    another kind, such as an open connection, holds. `DefinitionError` when the source cannot be read.
    """
    function = inspect.unwrap(function)
    if inspect.isfunction(function) and function in _known:
        return _known[function]
    reader = _Reader(getattr(function, "__module__", "").partition(".")[0])
    reader.read(function)
    digest = hashlib.sha256("\n".join(reader.texts).encode()).hexdigest()[:32]
    if inspect.isfunction(function):
        _known[function] = digest
    return digest


class _Reader:
    """Collects the sources that one function's meaning is made of, each once, numbered as they are met."""

    def __init__(self, package: str) -> None:
        self.package = package
        self.numbers: dict[str, int] = {}
        self.texts: list[str] = []

    def read(self, thing: Any) -> str:
        """Take in a function or class; returns how others refer to it."""
        name = f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', repr(thing))}"
        if name in self.numbers:
            return f"source {self.numbers[name]}"
        number = self.numbers[name] = len(self.numbers)
        tree = _definition(thing)
        names = _namespace(thing, tree)
        if isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            tree.decorator_list = [d for d in tree.decorator_list if not _is_ours(d, names)]
            tree.name = "_"
        tree = Stripped().visit(tree)
        number_locals(tree)
        outside = [*self._attributes(tree, names), *self._names(tree, names)]
        self.texts.append("\n".join([f"{number}: {ast.unparse(ast.fix_missing_locations(tree))}", *outside]))
        return f"source {number}"

    def _attributes(self, tree: ast.AST, names: Mapping[str, Any]) -> Iterator[str]:
        """What is reached through modules of the package: ``settings.LIMIT``, ``shop.text.clean``."""
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                owner = _evaluated(node.value, names)
                value = getattr(owner, node.attr, _MISSING) if self._is_own_module(owner) else _MISSING
                if value is not _MISSING and not isinstance(value, ModuleType):
                    yield f".{node.attr} = {self.reading(value)}"

    def _names(self, tree: ast.AST, names: Mapping[str, Any]) -> Iterator[str]:
        """Replace each name from outside by its number, and say what it stands for."""
        # A name that is also bound somewhere within may mean either: it keeps its spelling.
        fixed, parameters = fixed_names(tree), _parameters(tree)
        numbered: dict[str, str] = {}
        for node in ast.walk(tree):
            if not isinstance(node, ast.Name) or node.id not in names or node.id in parameters:
                continue
            if node.id.startswith("__"):
                continue
            if node.id not in numbered:
                numbered[node.id] = node.id if node.id in fixed else f"_g{len(numbered)}"
                yield f"{numbered[node.id]} = {self.reading(names[node.id])}"
            node.id = numbered[node.id]

    def reading(self, value: Any) -> str:
        """What a value from outside means to the function that uses it."""
        # A declaration may have taken its function's name.
        function = getattr(value, "function", None)
        value = inspect.unwrap(function if inspect.isfunction(function) else value)
        if isinstance(value, ModuleType):
            return "module of the package" if self._is_own_module(value) else f"module {value.__name__}"
        if isinstance(value, functools.partial):
            return f"partial {self.reading(value.func)} {self.reading(value.args)} {self.reading(value.keywords)}"
        if inspect.isfunction(value) or inspect.isclass(value):
            return self._definition_of(value)
        if isinstance(value, Mapping):
            return f"{{{', '.join(f'{self.reading(k)}: {self.reading(v)}' for k, v in value.items())}}}"
        if isinstance(value, tuple | list):
            return f"[{', '.join(map(self.reading, value))}]"
        if isinstance(value, set | frozenset):
            return f"{{{', '.join(sorted(map(self.reading, value)))}}}"
        return _constant(value)

    def _definition_of(self, value: Any) -> str:
        name = f"{value.__module__}.{value.__qualname__}"
        if value.__module__.partition(".")[0] != self.package:
            return name
        try:
            return self.read(value)
        except DefinitionError:
            # Classes made by a call, such as named tuples, have no source of their own.
            if inspect.isclass(value):
                return name
            raise

    def _is_own_module(self, value: Any) -> bool:
        return isinstance(value, ModuleType) and value.__name__.partition(".")[0] == self.package


def _constant(value: Any) -> str:
    """The value of a plain constant; of anything else its type, or the name that it has in its library."""
    try:
        return fingerprint(value)
    except TypeError:
        pass
    kind = type(value)
    if isinstance(value, re.Pattern):
        return f"pattern {value.pattern!r} {value.flags}"
    if kind.__module__ in ("builtins", "datetime", "decimal", "fractions", "uuid", "zoneinfo"):
        name = getattr(value, "__qualname__", None)
        return repr(value) if name is None else f"{getattr(value, '__module__', '')}.{name}"
    if hasattr(value, "dtype") and hasattr(value, "tobytes"):
        return f"{value.dtype} {hashlib.sha256(value.tobytes()).hexdigest()}"
    return f"{kind.__module__}.{kind.__qualname__} {getattr(value, '__name__', '')}"


def _definition(thing: Any) -> ast.AST:
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(thing))).body[0]
    except (OSError, TypeError, SyntaxError, IndexError):
        raise DefinitionError(
            getattr(thing, "__qualname__", repr(thing)),
            "the source cannot be read" if hasattr(thing, "__code__") else "this is not a Python function",
            expected="a function defined with `def` in a module of the project",
        ) from None


def _parameters(tree: ast.AST) -> set[str]:
    """Those of the function itself: within it, their names never mean anything from outside."""
    if not isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef):
        return set()
    return {node.arg for node in ast.walk(tree.args) if isinstance(node, ast.arg)}


def _namespace(thing: Any, tree: ast.AST) -> dict[str, Any]:
    """What names mean within a definition: globals, enclosing variables, and what it imports itself."""
    module = sys.modules.get(thing.__module__)
    names = dict(getattr(thing, "__globals__", None) or vars(module or object))
    code = getattr(thing, "__code__", None)
    for name, cell in zip(getattr(code, "co_freevars", ()), getattr(thing, "__closure__", None) or (), strict=False):
        try:
            names[name] = cell.cell_contents
        except ValueError:
            # The enclosing function has not assigned it yet.
            continue
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names |= _imported(node, str(names.get("__package__") or ""))
    return names


def _imported(node: ast.ImportFrom, package: str) -> dict[str, Any]:
    """Names that a function imports from its own package within its body."""
    top = package.partition(".")[0]
    target = "." * node.level + (node.module or "")
    if not package or not (node.level or target.partition(".")[0] == top):
        return {}
    try:
        module = importlib.import_module(target, package)
    except ImportError:
        return {}
    found = {alias.asname or alias.name: getattr(module, alias.name, _MISSING) for alias in node.names}
    return {name: value for name, value in found.items() if value is not _MISSING}


def _evaluated(node: ast.AST, names: Mapping[str, Any]) -> Any:
    """The module that a dotted name stands for, None when it is none."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        owner = _evaluated(node.value, names)
        return getattr(owner, node.attr, None) if isinstance(owner, ModuleType) else None
    return None


def _is_ours(decorator: ast.AST, names: Mapping[str, Any]) -> bool:
    """A decorator that declares: what it says is part of the declaration's own meaning."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    if isinstance(called, ast.Attribute):
        owner = _evaluated(called.value, names)
        value = getattr(owner, called.attr, None) if isinstance(owner, ModuleType) else None
    else:
        value = _evaluated(called, names)
    return str(getattr(value, "__module__", "")).startswith("inseam.define.")
