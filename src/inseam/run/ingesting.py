"""Loading sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from inseam.define.failure import of_declaration
from inseam.define.feature_view import FeatureView
from inseam.define.source import Source
from inseam.define.training_set import TrainingSet
from inseam.ir.records import LoadRecord
from inseam.kernel.errors import InseamError, Problem
from inseam.ports.progress import Progress, silent
from inseam.run.compacting import tidy_source
from inseam.run.context import Context
from inseam.run.runs import run
from inseam.run.streaming import drain


def ingest(
    context: Context,
    name: str,
    *,
    is_history: bool = False,
    watermark: int | None = None,
    progress: Progress = silent,
) -> LoadRecord | None:
    """Load what is new of a source; None when nothing is. ``is_history``: rows count as known at their event time.

    What was pushed to a stream goes into its table after its files, if it has any: of two loads the files' is given.
    """
    source = context.project.get(Source, name)
    loaded = None
    if source.location is not None or source.query is not None:
        loaded = _ingest(context, name, is_history=is_history, watermark=watermark, progress=progress)
    pushed = drain(context, name, progress=progress) if source.stream else None
    if loaded or pushed:
        tidy_source(context, name)
    return loaded or pushed


def _ingest(
    context: Context, name: str, *, is_history: bool, watermark: int | None, progress: Progress
) -> LoadRecord | None:
    from inseam.stages.ingest.load import ingest as load

    spec = replace(context.source(name), entity_keys=_entity_keys(context, name))
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
                "rows_ignored": record.rows_ignored,
                "rows_forgotten": record.rows_forgotten,
            }
    return record


def ingest_all(
    context: Context,
    names: Sequence[str],
    loads: dict[str, LoadRecord | None],
    *,
    is_history: bool = False,
    watermark: int | None = None,
    progress: Progress = silent,
) -> None:
    """Load what is new of these sources (none: of all) into ``loads``. One that fails keeps no other from being loaded.

    The problems of all that failed are raised together at the end, as an error of the kind of the first. A name that no
    source bears is refused before anything is loaded.
    """
    names = names or [source.name for source in context.project.all(Source)]
    for name in names:
        context.project.get(Source, name)
    failures: list[InseamError] = []
    problems: list[Problem] = []
    for name in names:
        try:
            loads[name] = ingest(context, name, is_history=is_history, watermark=watermark, progress=progress)
        except InseamError as error:
            failures.append(error)
            problems += [of_declaration(f"source:{name}", problem) for problem in error.problems]
    if failures:
        raise type(failures[0]).of(problems) from failures[0]


def _entity_keys(context: Context, source: str) -> tuple[str, ...]:
    """The columns by which what is declared finds its entities in the source's rows."""
    readers = [(view.rows, view.entity.keys) for view in context.project.all(FeatureView)]
    labels = ((item.label.aggregate, item.keys) for item in context.project.all(TrainingSet))
    readers += [(aggregate.rows, keys) for aggregate, keys in labels if aggregate is not None and aggregate.rows]
    found: dict[str, None] = {}
    for rows, keys in readers:
        if rows.base.name == source:
            joined = {column for join in rows.joins for column in join.columns}
            found |= dict.fromkeys(key for key in keys if key not in joined)
    return tuple(found)
