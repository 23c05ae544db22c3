"""How much one worker takes of a load at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
PORTION_BYTES = 128 << 20
"""Of files as they lie there. Less than two portions are one process's work: that is done before Spark would begin."""
MOST_PORTIONS = 4_096
"""What comes back of each is small, and yet something."""


def grouped(pieces: Sequence[T], sizes: Sequence[int]) -> list[list[T]]:
    """Pieces that follow each other, together as large as a portion or nearly; one that is larger stands alone."""
    room = max(PORTION_BYTES, sum(sizes) // MOST_PORTIONS)
    groups: list[list[T]] = []
    held = 0
    for piece, size in zip(pieces, sizes, strict=True):
        if not groups or held + size > room:
            groups.append([])
            held = 0
        groups[-1].append(piece)
        held += size
    return groups
