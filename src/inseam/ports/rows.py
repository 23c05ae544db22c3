"""Rows that an engine gives: they stay where they are computed, and functions of them run there."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, ClassVar, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")
Batches: TypeAlias = "Iterator[pa.RecordBatch]"
Parts: TypeAlias = Callable[[int, int], None]
"""Hears, while workers elsewhere compute, how many parts of the work are done, and of how many as far as is known."""


class Rows(Protocol):
    """Rows in an order, in one part or in several that follow each other.

    They are computed when they are asked for, which is once, unless they are held. A function runs where the rows are,
    which may be another machine: it is importable there, or a `functools.partial` of one that is with arguments that
    can be pickled. It may run again where a worker was lost, and its `InseamError` comes back whole.
    """

    @property
    def schema(self) -> pa.Schema:
        """The columns, in our own types."""

    @property
    def is_spread(self) -> bool:
        """Whether workers elsewhere hold them, several parts at once."""

    def reader(self, parts: Parts | None = None) -> pa.RecordBatchReader:
        """The rows here, as a stream."""

    def map(self, function: Callable[[Batches], Batches], schema: pa.Schema) -> Rows:
        """What the function makes of each part's batches: batches of ``schema``."""

    def consume(
        self,
        function: Callable[[int, Batches], T],
        seen: Callable[[int], None] | None = None,
        parts: Parts | None = None,
    ) -> list[T]:
        """What the function makes of each part: something small, in the parts' order. It gets the part's number too.

        ``seen`` is told here how many rows went by, as often as that is known.
        """

    def hold(self) -> Rows:
        """The same rows, computed once and kept where they are for as long as they are referred to."""


Given: TypeAlias = "Rows | pa.RecordBatchReader"
"""What an engine takes: rows that one gave, or a stream of the caller's."""


def reader_of(rows: Given) -> pa.RecordBatchReader:
    """The rows as a stream."""
    import pyarrow as pa

    return rows if isinstance(rows, pa.RecordBatchReader) else rows.reader()


@dataclass(frozen=True)
class StreamedRows:
    """Rows that a stream of this process brings, as one part. They are held in a file in ``scratch``."""

    schema: pa.Schema
    opened: Callable[[], pa.RecordBatchReader]
    scratch: Path
    is_spread: ClassVar[bool] = False

    @classmethod
    def of(cls, reader: pa.RecordBatchReader, scratch: Path) -> StreamedRows:
        left = [reader]

        def opened() -> pa.RecordBatchReader:
            if not left:
                raise RuntimeError("these rows were asked for already: hold them to ask again")
            return left.pop()

        return cls(reader.schema, opened, scratch)

    def reader(self, parts: Parts | None = None) -> pa.RecordBatchReader:
        return self.opened()

    def map(self, function: Callable[[Batches], Batches], schema: pa.Schema) -> StreamedRows:
        import pyarrow as pa

        def opened() -> pa.RecordBatchReader:
            return pa.RecordBatchReader.from_batches(schema, function(iter(self.opened())))

        return StreamedRows(schema, opened, self.scratch)

    def consume(
        self,
        function: Callable[[int, Batches], T],
        seen: Callable[[int], None] | None = None,
        parts: Parts | None = None,
    ) -> list[T]:
        return [function(0, watched(self.opened(), seen))]

    def hold(self) -> StreamedRows:
        import pyarrow as pa

        self.scratch.mkdir(parents=True, exist_ok=True)
        # It has no name, so that nothing is left of it whatever is killed; closed when nobody refers to it.
        file = tempfile.TemporaryFile(dir=self.scratch)  # noqa: SIM115
        with pa.ipc.new_stream(file, self.schema) as writer:
            for batch in self.opened():
                writer.write_batch(batch)
        return StreamedRows(self.schema, lambda: _again(file), self.scratch)


def watched(rows: pa.RecordBatchReader, seen: Callable[[int], None] | None) -> Batches:
    """The stream's batches; ``seen`` is told how many rows went by."""
    count = 0
    for batch in rows:
        yield batch
        count += batch.num_rows
        if seen is not None:
            seen(count)


def _again(file: IO[bytes]) -> pa.RecordBatchReader:
    import pyarrow as pa

    file.seek(0)
    return pa.ipc.open_stream(file)
