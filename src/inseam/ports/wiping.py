"""Stores that leave what was taken out of them on this machine's disk."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Wiping(Protocol):
    """A store whose file keeps bytes of rows that are gone until it needs the room. Others have no such method."""

    def wipe(self) -> None:
        """Overwrite them, at the cost of writing the whole store. Readers and writers may go on meanwhile; a process
        that writes to it may have bytes of earlier rows in memory, and leave them there again."""
