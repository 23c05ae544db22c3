"""Streams: rows pushed to a project's sources, kept in the log at once, and moved into the tables in loads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from inseam.define.source import Source
from inseam.ir.records import LoadRecord
from inseam.kernel import clock
from inseam.kernel.errors import ConflictError, InseamError, RefusedError
from inseam.ports.progress import Progress, silent
from inseam.run.context import Context

if TYPE_CHECKING:
    from inseam.ports.stream_log import Push
    from inseam.stages.ingest.push import Intake
    from inseam.stages.serve.push import Pushed

ROWS_AT_ONCE = 1_000
"""Rows of one transaction, when many are pushed from here."""
_WAIT_SECONDS = 600.0


class Backlog(NamedTuple):
    """What was pushed to a source and is not in its table yet. ``seconds``: the age of the oldest such row."""

    rows: int
    seconds: float


class Streams:
    """Takes what is pushed to a server: `inseam.stages.serve.push.Streams`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._intakes: dict[str, Intake] = {}

    def take(self, pushed: Sequence[Pushed]) -> list[int | InseamError]:
        rows: dict[str, list[Push]] = {}
        outcomes: list[int | InseamError] = []
        for one in pushed:
            try:
                found = self._read(one)
            except InseamError as error:
                outcomes.append(error)
            else:
                rows.setdefault(one.source, []).extend(found)
                outcomes.append(len(found))
        for source, together in rows.items():
            self._context.stream_log.append(source, together)
        return outcomes

    def backlog(self) -> dict[str, Backlog]:
        return backlog(self._context)

    def boundaries(self) -> dict[str, int]:
        from inseam.run.freshening import all_applied

        return all_applied(self._context)

    def _read(self, pushed: Pushed) -> list[Push]:
        reader = self._intakes.get(pushed.source)
        if reader is None:
            reader = self._intakes[pushed.source] = intake(self._context, pushed.source)
        return reader.lines(pushed.body, pushed.key) if pushed.is_lines else reader.json(pushed.body, pushed.key)


def stream_sources(context: Context) -> tuple[str, ...]:
    """The sources to which rows may be pushed."""
    return tuple(source.name for source in context.project.all(Source) if source.stream)


def intake(context: Context, name: str) -> Intake:
    """What reads the rows that are pushed to a source. `RefusedError` for one that takes none."""
    from inseam.stages.ingest.book import held_schema
    from inseam.stages.ingest.push import Intake

    source = context.project.get(Source, name)
    if not source.stream:
        raise RefusedError(
            str(source.ref), "rows are not pushed to it", mend="declare it with stream=True", place=source.place
        )
    spec = context.source(name)
    schema = spec.schema or held_schema(name, context.ledger)
    if schema is None:
        raise RefusedError(
            str(source.ref),
            "its columns are not known yet",
            mend='declare them: schema={"...": "..."}, or ingest a first file of it',
            place=source.place,
        )
    return Intake(spec, schema, lambda: context.engine)


def push(
    context: Context,
    name: str,
    rows: Iterable[Mapping[str, Any]],
    *,
    ids: Iterable[str] | None = None,
    key: str = "",
    progress: Progress = silent,
) -> int:
    """Put rows into the log of a source, in durable transactions of a thousand; how many there were.

    ``ids`` names them one by one; else each has a field ``_id``, or ``key`` names the push and their places in it. A
    row whose id is known already is that row: a push that broke off is repeated whole. `DataError` names the first row
    that is not what the source promises; the thousands before it are kept.
    """
    from inseam.stages.ingest.push import ID

    reader = intake(context, name)
    named = rows if ids is None else ({**row, ID: id_} for row, id_ in zip(rows, ids, strict=True))
    done = 0
    for part in _parts(named):
        context.stream_log.append(name, reader.records(part, key, first=done))
        done += len(part)
        progress(f"push {name}", done, None)
    return done


def _parts(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    stream = iter(rows)
    while part := list(islice(stream, ROWS_AT_ONCE)):
        yield part


def drain(context: Context, name: str, *, through: int | None = None, progress: Progress = silent) -> LoadRecord | None:
    """Move what was pushed to a source into its table, at least through a sequence; the last load, None without one.

    What is in the table leaves the log. `ConflictError` when another process loads the source for minutes.
    """
    from inseam.stages.ingest.drain import drain as take
    from inseam.stages.ingest.drain import drained

    spec, log, ledger = context.source(name), context.stream_log, context.ledger
    goal = log.fence(name).sequence if through is None else through
    done: LoadRecord | None = None
    while drained(name, ledger) < goal:
        load = take(
            spec,
            log,
            tables=context.tables,
            ledger=ledger,
            engine=context.engine,
            directory=context.path("loads"),
            wait_seconds=_WAIT_SECONDS,
            progress=progress,
        )
        if load is None:  # another process was faster
            break
        done = load
    log.trim(name, drained(name, ledger))
    return done


def drain_all(context: Context) -> None:
    """Drain every stream; one that another process is loading is left to it."""
    for name in stream_sources(context):
        try:
            drain(context, name)
        except ConflictError:
            continue


def backlog(context: Context) -> dict[str, Backlog]:
    """By stream: how far its table is behind what was pushed."""
    from inseam.stages.ingest.drain import drained

    found: dict[str, Backlog] = {}
    for name in stream_sources(context):
        done = drained(name, context.ledger)
        oldest = context.stream_log.read(name, done, 1)
        if oldest:
            rows = context.stream_log.fence(name).sequence - done
            found[name] = Backlog(rows, max(0, clock.now() - oldest[0].ingested_at) / clock.SECOND)
        else:
            found[name] = Backlog(0, 0.0)
    return found
