"""User functions travel as references: module, qualified name and the digest of what their source means."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from inseam.ir.source_digest import source_digest
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
        """`DefinitionError` for what is no function of a module: it could not be imported where the step runs."""
        name = getattr(function, "__qualname__", repr(function))
        if not inspect.isfunction(inspect.unwrap(function)) or "<" in name:
            raise DefinitionError(
                name,
                "the function has no name of its own in a module, so that it cannot be imported again",
                expected="a function defined with `def` at the top level of a module",
            )
        return cls(function.__module__, name, source_digest(function))

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
