"""Tables of rows with immutable snapshots: Delta Lake on local disk or an object store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from inseam.kernel.types import Schema

if TYPE_CHECKING:
    from inseam.ports.rows import Given, Parts


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An immutable state of a table: everything that an engine needs to read exactly these rows."""

    table: str
    version: int
    files: tuple[str, ...]
    schema: Schema
    rows: int
    bytes: int
    null_counts: Mapping[str, int]
    """NULLs by column where the table format knows them for every file; a column left out is unknown."""


@dataclass(frozen=True, slots=True)
class CommitKey:
    """Makes a commit happen at most once: the table remembers the greatest ``number`` committed per ``application``."""

    application: str
    number: int


class Tables(Protocol):
    """A table's name is a path of names, e.g. ``sources/orders``. Every write is one atomic commit."""

    files: Any
    """An fsspec filesystem that opens the files of snapshots; None where they are paths of this machine."""

    def append(
        self,
        table: str,
        rows: Given,
        *,
        key: CommitKey | None = None,
        metadata: Mapping[str, str] | None = None,
        seen: Callable[[int], None] | None = None,
        parts: Parts | None = None,
    ) -> int:
        """Add rows (new columns widen the table) and return the snapshot's version; creates the table.

        They are written where they are: an engine's workers write theirs, and this process commits. ``seen`` is told
        how many were written, ``parts`` how far the workers are.
        With a ``key`` that the table has already seen nothing is written and the current version is returned.
        """

    def replace(self, table: str, rows: Given, *, metadata: Mapping[str, str] | None = None) -> int:
        """Make these rows the table's whole content (older snapshots stay readable) and return the version."""

    def snapshot(self, table: str, version: int | None = None, *, since: int | None = None) -> Snapshot:
        """The newest or the named state; `NotFoundError` when there is none.

        ``since``, an instant in UTC microseconds, leaves out files of which it is known that no row was ingested after
        it: what a stream of small loads costs to read then follows from the loads since, not from all that there were.
        """

    def committed(self, table: str, application: str) -> int | None:
        """The greatest number committed under this application, None when none was or the table is not there."""

    def erase(self, table: str, cells: Mapping[str, Sequence[Any]], *, is_dry_run: bool = False) -> int:
        """Remove the rows whose cell in each of these columns is one of those given, for good; how many there were.

        They leave every snapshot, the table's own books and the disk, as if they had never come: snapshots keep their
        versions and all other rows, what was committed stays committed. Killed at any instant it is finished by the
        same call. Nobody else may write to the table meanwhile; who reads a snapshot that was taken before fails, and
        reads no wrong rows. ``is_dry_run``: only counts them.
        """

    def list(self) -> tuple[str, ...]:
        """The names of the tables that exist."""

    def drop(self, table: str) -> None:
        """Destroy a table with all its snapshots."""
