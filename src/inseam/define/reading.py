"""Reads a package of definitions statement by statement, so that one mistake does not hide those behind it.

A statement that fails is told, and the names that it would have bound are missing from then on; one that fails for
want of such a name follows from the first, and is passed over.
"""

from __future__ import annotations
import __future__

import ast
import importlib
import pkgutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType

from inseam.define.calls import mend_calls
from inseam.define.failure import problems_of
from inseam.kernel.errors import Problem

ALL = "*"
"""Among the missing names: a star import failed, and nobody knows what it would have brought."""


class Reading(MetaPathFinder):
    """One reading of a package below ``root``; ``problems`` holds each mistake once, in the order met."""

    def __init__(self, package: str, root: Path) -> None:
        self.package = package
        self.root = root
        self._problems: dict[object, Problem] = {}
        self._missing: set[str] = set()
        self._unreadable: set[str] = set()

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(self._problems.values())

    def run(self) -> None:
        """Import the package and all of its modules."""
        with self._in_front():
            top = self._import(self.package)
            for info in pkgutil.walk_packages(
                getattr(top, "__path__", []), f"{self.package}.", onerror=lambda name: None
            ):
                if not info.name.endswith(".__main__"):
                    self._import(info.name)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Python's own finding, with our loader for the package's source files."""
        if name != self.package and not name.startswith(f"{self.package}."):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Statements(self, spec.loader.name, str(spec.loader.path))
        return spec

    def execute(self, module: ModuleType, file: str, text: bytes) -> None:
        """Run a module's statements; none of them stops the next."""
        try:
            tree = ast.parse(text, file)
        except (SyntaxError, ValueError) as error:
            if isinstance(error, SyntaxError):
                error.filename = error.filename or file
            self._unreadable.add(module.__name__)
            self._add(problems_of(error, module.__name__, None, self.root))
            return
        module.__doc__ = ast.get_docstring(tree, clean=False)
        flags = 0
        for statement in _statements(tree):
            if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
                flags |= getattr(__future__, statement.names[0].name).compiler_flag
            self._execute(statement, module, file, flags)

    def _execute(self, statement: ast.stmt, module: ModuleType, file: str, flags: int) -> None:
        mended = mend_calls(statement, vars(module), file)
        self._add(mended.problems)
        if mended.can_run:
            try:
                code = compile(ast.Module([statement], []), file, "exec", flags, dont_inherit=True)
                exec(code, vars(module))  # noqa: S102 - it is what importing does
                return
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's module may raise anything
                if not self._follows(error, statement):
                    self._add(problems_of(error, module.__name__, mended.declared, self.root))
        self._missing |= _bound(statement) - vars(module).keys()

    def _follows(self, error: BaseException, statement: ast.stmt) -> bool:
        """Whether it failed only because an earlier statement did."""
        if isinstance(error, ImportError) and isinstance(statement, ast.ImportFrom):
            return error.name in self._unreadable or statement.names[0].name in self._missing
        if isinstance(error, NameError):
            return not {error.name, ALL}.isdisjoint(self._missing)
        return isinstance(error, AttributeError) and isinstance(error.obj, ModuleType) and error.name in self._missing

    def _import(self, name: str) -> ModuleType | None:
        try:
            return importlib.import_module(name)
        except (Exception, SystemExit) as error:  # noqa: BLE001
            self._add(problems_of(error, name, None, self.root))
            return None

    def _add(self, problems: Sequence[Problem]) -> None:
        for problem in problems:
            # What a module raises while others import it is met once for each of them.
            self._problems.setdefault((problem.found, problem.place), problem)

    @contextmanager
    def _in_front(self) -> Iterator[None]:
        sys.meta_path.insert(0, self)
        try:
            yield
        finally:
            sys.meta_path.remove(self)


class _Statements(SourceFileLoader):
    """Loads a module through a `Reading`."""

    def __init__(self, reading: Reading, name: str, path: str) -> None:
        super().__init__(name, path)
        self._reading = reading

    def exec_module(self, module: ModuleType) -> None:
        self._reading.execute(module, str(self.path), self.get_data(str(self.path)))


def _statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements, with each imported name in one of its own."""
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom):
            for name in statement.names:
                yield ast.copy_location(ast.ImportFrom(statement.module, [name], statement.level), statement)
        else:
            yield statement


def _bound(statement: ast.stmt) -> set[str]:
    """The names that the statement would have bound."""
    names: set[str] = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name.partition(".")[0])
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
    return names
