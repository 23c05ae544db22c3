"""Loading sources."""

from __future__ import annotations

from inseam.define.source import Source
from inseam.ir.records import LoadRecord
from inseam.ports.progress import Progress, silent
from inseam.run.context import Context
from inseam.run.runs import run


def ingest(
    context: Context,
    name: str,
    *,
    is_history: bool = False,
    watermark: int | None = None,
    progress: Progress = silent,
) -> LoadRecord | None:
    """Load what is new of a source; None when nothing is. ``is_history``: rows count as known at their event time."""
    from inseam.stages.ingest.load import ingest as load

    spec = context.source(name)
    with run(context.ledger, "ingest", name, "", {"is_history": is_history}) as opened:
        record = load(
            spec,
            tables=context.tables,
            ledger=context.ledger,
            engine=context.engine,
            directory=context.path("loads"),
            is_history=is_history,
            watermark=watermark,
            progress=progress,
        )
        if record is not None:
            opened.outputs = {
                "number": record.number,
                "rows_accepted": record.rows_accepted,
                "rows_quarantined": record.rows_quarantined,
            }
    return record


def source_names(context: Context) -> tuple[str, ...]:
    return tuple(source.name for source in context.project.all(Source))
