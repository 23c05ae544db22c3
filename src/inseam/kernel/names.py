"""References to declared things, and the nearest name when one is misspelt."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")


def is_name(text: str) -> bool:
    """Lower-case words joined by ``_``, at most 63 characters: fit for a column, a path and a URL."""
    return _NAME.match(text) is not None


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate most like ``name``, or None when none is close."""
    close = get_close_matches(name, list(candidates), n=1, cutoff=0.6)
    return close[0] if close else None


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """A mend for a misspelt name: the nearest one, or the list of what exists."""
    known = sorted(candidates)
    near = nearest(name, known)
    if near is not None:
        return f"did you mean {near!r}?"
    return f"one of: {', '.join(known)}" if known else "none is declared yet"


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """A declared thing by kind and name, e.g. ``feature_view:spend``; a version only for made things.

    >>> Ref.parse("model:lapse@3").version
    '3'
    """

    kind: str
    name: str
    version: str | None = None

    def __str__(self) -> str:
        tail = f"@{self.version}" if self.version is not None else ""
        return f"{self.kind}:{self.name}{tail}"

    @classmethod
    def parse(cls, text: str) -> Ref:
        """Read ``kind:name`` or ``kind:name@version``; raises ValueError otherwise."""
        kind, separator, rest = text.partition(":")
        name, _, version = rest.partition("@")
        if not separator or not kind or not name:
            raise ValueError(f"{text!r} is not a reference such as feature_view:spend")
        return cls(kind, name, version or None)
