"""What is on its way into tables is waited for, before values of an instant are computed from them."""

from __future__ import annotations

from inseam.define.declaration import Declaration
from inseam.define.source import Source
from inseam.kernel import clock
from inseam.kernel.errors import RefusedError
from inseam.plan.diff import ancestors
from inseam.run.context import Context
from inseam.run.streaming import drain

_AHEAD = clock.MINUTE
"""So far clocks may differ."""


def instant_of(as_of: int | None) -> int:
    """The instant to act as of, default now; `RefusedError` for one that has not come: its rows are not there yet."""
    now = clock.now()
    if as_of is not None and as_of > now + _AHEAD:
        raise RefusedError(
            f"as of {clock.format_instant(as_of)}",
            "this instant has not come: rows that count at it may still arrive",
            expected=f"at most {clock.format_instant(now)}",
        )
    return now if as_of is None else as_of


def settle(context: Context, item: Declaration) -> int:
    """Bring all that the platform holds by now of a declaration's sources into their tables: pushes, begun loads.

    Returns the instant (UTC microseconds) through which the tables then have every row: later ones are stamped later.
    """
    sources = [one for one in (item, *ancestors(item)) if isinstance(one, Source)]
    return min((_settle(context, source) for source in sources), default=clock.now())


def _settle(context: Context, source: Source) -> int:
    from inseam.stages.ingest.book import settle as wait

    instant = clock.now()
    if source.stream:
        fence = context.stream_log.fence(source.name)
        drain(context, source.name, through=fence.sequence)
        instant = fence.instant
    wait(source.name, instant, context.tables, context.ledger)
    return instant
