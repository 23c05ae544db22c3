"""The online store: the newest row of each view and entity, read in microseconds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from inseam.kernel.errors import ConflictError


class OnlineStore(Protocol):
    """Keys and rows are bytes made by `inseam.ir.online_row`; ``table`` is a view under one fingerprint.

    Every store promises that a table's rows of one entity (`inseam.ir.tile_key.entity_part`) are of one write, that no
    reader sees them go back, and that no mark is ever there without the rows that were written before it and with it.
    All but a cluster of Redis promise more (``is_one_state``): a read sees one state of all tables, a write happens in
    whole or not at all. On a cluster a read may fall between the entities of a batch, and a write that was killed
    leaves some of them: they are written again by who goes on after the mark. `inseam.testing.contracts.online` has a
    suite for each.

    A reader is one such object. A store on a server may answer a read from what it has read before: what another
    process wrote is then seen up to a second late, but never is anything from before what this object has shown or
    written, in whatever thread. Who needs the rows as they are now reads the mark first.

    A store in a directory is made with that directory; one on a server with its URL and ``namespace``, which keeps
    projects and environments apart. It is thread-safe, may be carried across a fork, and raises `UnavailableError`
    when its server does not answer in bounded time; the next call tries anew.
    """

    is_shared: bool
    """Whether other machines reach it: it may then be pickled, with its URL, and written there too."""

    @property
    def is_one_state(self) -> bool:
        """Whether reads and writes are transactions over all that they name, and not an entity's alone."""

    def write(
        self,
        table: str,
        rows: Sequence[tuple[bytes, bytes | None]],
        mark: bytes | None = None,
        *,
        over: Collection[bytes | None] = (),
    ) -> None:
        """Put rows, then the table's mark when one is given; durable on return, as far as the store's server is.

        None in place of a row takes out what is there; a key stands at most once. ``over``: the marks of which the
        table must have one (None: that it has none), else nothing is written and it is a `ConflictError`: so a writer
        that was replaced while it slept does no harm. Where the table has the very ``mark`` that is to be written, it
        was written already. A cluster of Redis looks before it writes, and may be overtaken in between.
        """

    def read(self, tables: Sequence[str], keys: Sequence[Sequence[bytes]]) -> list[list[bytes | None]]:
        """For each table the rows of its keys, in their order, in one round trip; None where there is none."""

    def one(self, tables: tuple[str, ...], keys: Sequence[bytes]) -> list[bytes | None]:
        """`read` of one key of each table: all that a request about one entity asks."""
        return [rows[0] for rows in self.read(tables, [(key,) for key in keys])]

    def mark(self, table: str) -> bytes | None:
        """The table's mark: how far its materialization got, as the writer encoded it."""

    def count(self, table: str) -> int:
        """How many rows the table holds."""

    def tables(self) -> Mapping[str, int]:
        """Every table with its size in bytes."""

    def drop(self, table: str) -> None:
        """Destroy a table; one that is not there is no error."""

    def close(self) -> None: ...


def is_free(table: str, mark: bytes | None, over: Collection[bytes | None], found: bytes | None) -> bool:
    """Whether a table whose mark is ``found`` is to be written as `OnlineStore.write` says: False when it was."""
    if not over or found in over:
        return True
    if found is not None and found == mark:
        return False
    view = table.partition("@")[0]
    raise ConflictError(
        f"feature_view:{view}", "another process has written its online rows meanwhile", mend="let one of them do it"
    )
