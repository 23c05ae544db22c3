"""Who works for an engine: functions go to pieces of work, several at once where there are several workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeVar

from inseam.ports.rows import Batches, Rows, StreamedRows

if TYPE_CHECKING:
    import pyarrow as pa

    from inseam.ports.engine import Engine

P = TypeVar("P")
T = TypeVar("T")


class Workers(Protocol):
    """Functions travel to them as to `Rows`, and pieces can be pickled. A piece may be worked on again, by another."""

    @property
    def is_spread(self) -> bool:
        """Whether they are elsewhere, several at once."""

    @property
    def folder(self) -> Path | None:
        """A folder that this process and all of them see; None where they share none."""

    @property
    def engine(self) -> Callable[[Path], Engine]:
        """Opens an engine that computes where this is called, with a folder for its scratch; it travels too."""

    def each(self, function: Callable[[P], T], pieces: Sequence[P]) -> list[T]:
        """What the function makes of each piece: something small, in the pieces' order."""

    def rows(self, function: Callable[[P], Batches], pieces: Sequence[P], schema: pa.Schema) -> Rows:
        """The batches of ``schema`` that the function makes of each piece, a part a piece."""


@dataclass(frozen=True)
class ThisProcess:
    """No workers but this process, which takes one piece after another. ``folder`` is scratch."""

    engine: Callable[[Path], Engine]
    folder: Path
    is_spread: ClassVar[bool] = False

    def each(self, function: Callable[[P], T], pieces: Sequence[P]) -> list[T]:
        return [function(piece) for piece in pieces]

    def rows(self, function: Callable[[P], Batches], pieces: Sequence[P], schema: pa.Schema) -> StreamedRows:
        import pyarrow as pa

        def opened() -> pa.RecordBatchReader:
            return pa.RecordBatchReader.from_batches(schema, chain.from_iterable(map(function, pieces)))

        return StreamedRows(schema, opened, self.folder)
