"""How long work says how far it is. Rooms report; a surface draws; the default is silence."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    def __call__(self, what: str, done: int, total: int | None = None) -> None:
        """``done`` units of ``total`` (None: unknown) of ``what`` (short, stable: it names one bar)."""


def silent(what: str, done: int, total: int | None = None) -> None:
    """Reports to nobody."""
