"""Rows: what sources, transforms and joins have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from inseam.define.declaration import Declaration

if TYPE_CHECKING:
    from inseam.define.join import Join
    from inseam.define.source import Source


class Rows(Declaration):
    """Whatever rows can be read from: a source, and what is made of it row by row."""

    timestamp: str

    @property
    @abstractmethod
    def base(self) -> Source:
        """The source whose rows they are."""

    @property
    def joins(self) -> tuple[Join, ...]:
        """What its rows got from other views, in the order in which they got it."""
        return ()
