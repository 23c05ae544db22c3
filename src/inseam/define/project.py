"""A project: all declarations together, loaded from a package without running anything else."""

from __future__ import annotations

import importlib
import linecache
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from inseam.define.declaration import Declaration, collecting
from inseam.define.endpoint import Endpoint
from inseam.define.entity import Entity
from inseam.define.example import Example
from inseam.define.feature_view import FeatureView
from inseam.define.join import Join
from inseam.define.model import Model
from inseam.define.on_demand import OnDemand
from inseam.define.reading import Reading
from inseam.define.source import Source
from inseam.define.training_set import TrainingSet
from inseam.define.transform import Transform
from inseam.kernel.errors import NotFoundError, Problem
from inseam.kernel.names import did_you_mean

KINDS: tuple[type[Declaration], ...] = (
    Entity,
    Source,
    Transform,
    Join,
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
    mistakes: tuple[Problem, ...] = ()
    """What went wrong while the declarations were made: some are not among them."""
    examples: tuple[Example, ...] = ()
    """Cases to test the declarations by: no part of what the project means."""

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
        examples = tuple(item for item in found.values() if isinstance(item, Example))
        return cls(name, tuple(item for item in found.values() if not isinstance(item, Example)), (), examples)

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

    What packages that it imports declare belongs to it as far as it is used. What fails on the way is kept among the
    project's ``mistakes``, with the file and line of the user's code.
    """
    root = root.resolve()
    top = _top(package)
    with _importing(root), collecting(top) as declarations:
        _forget(top)
        reading = Reading(package, root)
        reading.run()
        # The sources of functions are read now, while the files are those that were imported.
        for item in declarations:
            tuple(item.problems())
    return replace(Project.of(name, declarations), mistakes=reading.problems)


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


def _top(package: str) -> str:
    """The package that is the project's own: the outermost that holds the definitions, and never ours."""
    top = package.partition(".")[0]
    return package if top == __name__.partition(".")[0] else top


def _forget(top: str) -> None:
    """Drop the modules of a package, so that each loading reads all of it anew."""
    for name in [n for n in sys.modules if n == top or n.startswith(f"{top}.")]:
        del sys.modules[name]
