"""A project: all declarations together, loaded from a package without running anything else."""

from __future__ import annotations

import importlib
import linecache
import pkgutil
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from inseam.define.declaration import Declaration, collecting
from inseam.define.endpoint import Endpoint
from inseam.define.entity import Entity
from inseam.define.feature_view import FeatureView
from inseam.define.model import Model
from inseam.define.on_demand import OnDemand
from inseam.define.source import Source, Transform
from inseam.define.training_set import TrainingSet
from inseam.kernel.errors import DefinitionError, NotFoundError, Place, Problem
from inseam.kernel.names import did_you_mean, nearest

KINDS: tuple[type[Declaration], ...] = (
    Entity,
    Source,
    Transform,
    FeatureView,
    OnDemand,
    TrainingSet,
    Model,
    Endpoint,
)
"""Every kind of declaration, upstream first."""

D = TypeVar("D", bound=Declaration)


@dataclass(frozen=True)
class Project:
    """The declarations in the order in which they were made.

    >>> from inseam import Source, count
    >>> customer = Entity("customer", key="customer_id")
    >>> orders = Source("orders", "orders.csv", timestamp="ordered_at")
    >>> spend = FeatureView("spend", orders, customer, every="1d", features={"n": count(over="30d")})
    >>> [str(item.ref) for item in Project.of("shop", [spend]).declarations]
    ['source:orders', 'entity:customer', 'feature_view:spend']
    """

    name: str
    declarations: tuple[Declaration, ...]

    @classmethod
    def of(cls, name: str, declarations: Iterable[Declaration]) -> Project:
        """A project of these declarations and of everything upstream of them."""
        found: dict[int, Declaration] = {}

        def add(item: Declaration) -> None:
            if id(item) in found:
                return
            for parent in item.upstream():
                add(parent)
            found[id(item)] = item

        for declaration in declarations:
            add(declaration)
        return cls(name, tuple(found.values()))

    def all(self, kind: type[D]) -> tuple[D, ...]:
        return tuple(item for item in self.declarations if isinstance(item, kind))

    def get(self, kind: type[D], name: str) -> D:
        """The declaration of this kind and name; `NotFoundError` suggests the nearest."""
        for item in self.all(kind):
            if item.name == name:
                return item
        known = [item.name for item in self.all(kind)]
        raise NotFoundError(f"{kind.KIND}:{name}", "it is not declared in this project", mend=did_you_mean(name, known))


def load(name: str, package: str, root: Path) -> Project:
    """Import a package of definitions (all of its modules) from ``root`` and collect what it declares.

    `DefinitionError` when that fails, with the file and line of the user's code, and beside it every mistake in what
    could be collected.
    """
    root = root.resolve()
    with _importing(root), collecting() as declarations:
        _forget(package)
        failures = list(_import_all(package, root))
        # The sources of functions are read now, while the files are those that were imported.
        mistakes = [problem for item in declarations for problem in item.problems()]
    if failures:
        # A module that others import fails once for each of them.
        raise DefinitionError.of({(p.found, p.place): p for p in (*mistakes, *reversed(failures))}.values())
    return Project.of(name, declarations)


def _import_all(package: str, root: Path) -> Iterator[Problem]:
    top = _import(package)
    if isinstance(top, BaseException):
        yield from _failures(package, top, root)
        return
    for info in pkgutil.walk_packages(getattr(top, "__path__", []), f"{package}.", onerror=lambda _: None):
        if not info.name.endswith(".__main__"):
            module = _import(info.name)
            if isinstance(module, BaseException):
                yield from _failures(info.name, module, root)


def _import(name: str) -> ModuleType | BaseException:
    """The module, or what its code raised."""
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's module may raise anything
        return error


def _failures(name: str, error: BaseException, root: Path) -> Iterator[Problem]:
    if isinstance(error, DefinitionError):
        yield from error.problems
        return
    yield Problem(
        DefinitionError.code,
        f"module {name}",
        f"importing it failed: {type(error).__name__}: {error}",
        mend=_mend(error) or "mend the module, or set `definitions` in inseam.toml to the package that declares things",
        place=_place_of(error, root),
    )


def _mend(error: BaseException) -> str:
    """The nearest name to one that Python did not know."""
    if isinstance(error, NameError) and error.__traceback__ is not None:
        *_, (frame, _line) = traceback.walk_tb(error.__traceback__)
        near = nearest(str(error.name), {**frame.f_globals, **frame.f_locals})
    elif isinstance(error, AttributeError) and error.name is not None:
        near = nearest(error.name, dir(error.obj))
    elif isinstance(error, ModuleNotFoundError):
        return "" if error.name is None else f"install or correct {error.name!r}, or set `definitions` in inseam.toml"
    elif isinstance(error, ImportError) and error.name in sys.modules:
        missing = str(error).partition("cannot import name '")[2].partition("'")[0]
        near = nearest(missing, dir(sys.modules[error.name]))
    else:
        near = None
    return f"did you mean {near!r}?" if near is not None else ""


@contextmanager
def _importing(root: Path) -> Iterator[None]:
    """The project's root stays first on the path: functions are imported again when steps run.

    Bytecode is not written, and no line kept: both are told apart by dates, too coarse for an edit soon after another.
    """
    path = str(root)
    if path in sys.path:
        sys.path.remove(path)
    sys.path.insert(0, path)
    importlib.invalidate_caches()
    linecache.clearcache()
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _forget(package: str) -> None:
    """Drop the modules of the package, and of the one that holds it, so that each loading reads all of it anew."""
    top = package.partition(".")[0]
    if top == __name__.partition(".")[0]:
        top = package
    for name in [n for n in sys.modules if n == top or n.startswith(f"{top}.")]:
        del sys.modules[name]


def _place_of(error: BaseException, root: Path) -> Place | None:
    """The innermost line of the project itself."""
    if isinstance(error, SyntaxError) and error.filename:
        return Place(error.filename, error.lineno or 0)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).is_relative_to(root) and "site-packages" not in frame.filename:
            return Place(frame.filename, frame.lineno or 0)
    return None
