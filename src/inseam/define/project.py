"""A project: all declarations together, loaded from a package without running anything else."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from inseam.define.declaration import Declaration, collecting
from inseam.define.endpoint import Endpoint
from inseam.define.entity import Entity
from inseam.define.feature_view import FeatureView
from inseam.define.model import Model
from inseam.define.on_demand import OnDemand
from inseam.define.source import Source, Transform
from inseam.define.training_set import TrainingSet
from inseam.kernel.errors import DefinitionError, NotFoundError, Place
from inseam.kernel.names import did_you_mean

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
    """The declarations in the order in which they were made."""

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

    An exception of the user's code becomes a `DefinitionError` that names its file and line.
    """
    with _importable(root), collecting() as declarations:
        _forget(package)
        try:
            top = importlib.import_module(package)
            for info in pkgutil.walk_packages(getattr(top, "__path__", []), f"{package}."):
                importlib.import_module(info.name)
        except DefinitionError:
            raise
        except Exception as error:
            raise DefinitionError(
                f"package {package}",
                f"importing it failed: {type(error).__name__}: {error}",
                mend="mend the module, or set `definitions` in inseam.toml to the package that declares things",
                place=_place_of(error, root),
            ) from error
    return Project.of(name, declarations)


def _importable(root: Path) -> _OnPath:
    return _OnPath(str(root))


class _OnPath:
    """The project's root stays on the path: functions are imported again when steps run."""

    def __init__(self, root: str) -> None:
        self.root = root

    def __enter__(self) -> None:
        if self.root not in sys.path:
            sys.path.insert(0, self.root)
        importlib.invalidate_caches()

    def __exit__(self, *_: object) -> None: ...


def _forget(package: str) -> None:
    """Drop the package's modules so that each loading collects its declarations anew."""
    for name in [n for n in sys.modules if n == package or n.startswith(f"{package}.")]:
        del sys.modules[name]


def _place_of(error: Exception, root: Path) -> Place | None:
    if isinstance(error, SyntaxError) and error.filename:
        return Place(error.filename, error.lineno or 0)
    frames: Iterator[traceback.FrameSummary] = iter(reversed(traceback.extract_tb(error.__traceback__)))
    for frame in frames:
        if frame.filename.startswith(str(root)):
            return Place(frame.filename, frame.lineno or 0)
    return None
