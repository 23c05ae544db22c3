"""Small files are put together: segments of the prediction log in tables, and in tables what frequent loads leave."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any

from inseam.ir.records import ErasureRecord
from inseam.kernel.errors import InseamError, NotFoundError
from inseam.kernel.names import did_you_mean
from inseam.ports.compacting import Compacted, Compacting
from inseam.ports.progress import Progress, silent
from inseam.run.context import Context

_WAIT_SECONDS = 600.0
"""How long a load is waited for, by whoever names a table."""
_OF_LOADS, _OF_LOG = ("sources", "quarantine"), ("predictions", "outcomes")


@dataclass(frozen=True, slots=True)
class Compaction:
    """``moved``: rows that left the prediction log, by table. ``merged``: the tables of which files were made one."""

    moved: Mapping[str, int]
    merged: Mapping[str, Compacted]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def compact(context: Context, names: Sequence[str] = (), *, progress: Progress = silent) -> Compaction:
    """Move the prediction log's sealed segments into its tables, and merge small files where a table has many.

    With ``names``, of tables, merges all small files of just these, which gives each a snapshot more. `ConflictError`
    when another process loads one of them for minutes.
    """
    known = [name for name in context.tables.list() if name.partition("/")[0] in (*_OF_LOADS, *_OF_LOG)]
    for name in names:
        if name not in known:
            raise NotFoundError(f"table {name!r}", "it is none of loads", mend=did_you_mean(name, known))
    if names:
        done = {name: _merged(context, name, 2, progress, wait_seconds=_WAIT_SECONDS) for name in names}
        return Compaction({}, _found(done))
    moved = move_log(context)
    return Compaction(moved, tidy(context, {*known, *moved}, progress=progress))


def move_log(context: Context, *, wait_seconds: float = 0.0) -> Mapping[str, int]:
    """Move the sealed segments of the prediction log into Delta tables, each exactly once; rows by table."""
    from inseam.ir.forgotten import Forgotten
    from inseam.run.receipt import LOG
    from inseam.stages.serve.compact import compact as move

    forgotten = Forgotten(context.ledger.select(ErasureRecord))
    return move(context.path(LOG), context.tables, forgotten, wait_seconds=wait_seconds)


def tidy(context: Context, names: Iterable[str], *, progress: Progress = silent) -> dict[str, Compacted]:
    """Merge small files of those tables that are there, have many, and are not being written to.

    What came before it is done and stays: whatever hinders it is said by the next who reads the table, and not here.
    """
    fewest, done = context.settings.compact_files, dict[str, Compacted | None]()
    for name in sorted(names) if fewest else ():
        try:
            done[name] = _merged(context, name, fewest, progress)
        except InseamError:
            continue
    return _found(done)


def tidy_source(context: Context, source: str) -> None:
    """`tidy` what loads of a source write to."""
    tidy(context, [f"{head}/{source}" for head in _OF_LOADS])


def _merged(
    context: Context, name: str, fewest: int, progress: Progress, *, wait_seconds: float = 0.0
) -> Compacted | None:
    tables = context.tables
    if not isinstance(tables, Compacting):
        return None

    def told(rows: int) -> None:
        progress(f"compact {name}", rows)

    with _alone(context, name, wait_seconds):
        done = [*iter(lambda: tables.compact(name, fewest=fewest, seen=told), None)]
    return Compacted(done[-1].version, done[0].before, done[-1].after) if done else None


def _alone(context: Context, name: str, wait_seconds: float) -> AbstractContextManager[object]:
    """Nobody erases from the table meanwhile, and its own writer waits."""
    from inseam.run.receipt import LOG
    from inseam.stages.ingest.book import application
    from inseam.stages.serve.compact import locked

    head, _, source = name.partition("/")
    if head in _OF_LOADS:
        return context.ledger.lease(application(source), wait_seconds=wait_seconds)
    return locked(context.path(LOG), wait_seconds)


def _found(done: Mapping[str, Compacted | None]) -> dict[str, Compacted]:
    return {name: one for name, one in done.items() if one is not None}
