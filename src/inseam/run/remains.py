"""Where something of a forgotten entity may be that is not ours to erase, or that nobody can take it out of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from inseam.define.training_set import SpineTable, TrainingSet
from inseam.ir.entity_key import EntityKey, rows_of
from inseam.ir.records import ModelVersionRecord, RunRecord, TrainingSetRecord
from inseam.kernel.types import Schema
from inseam.run.context import Context
from inseam.run.receipt import LOG
from inseam.run.settings import Settings


def remains(context: Context, key: EntityKey, since: int) -> dict[str, str]:
    """By place, why. ``since``: UTC microseconds, when the erasure began."""
    return dict([*_models(context, since), *_files(context, key), *_elsewhere(context)])


def _models(context: Context, since: int) -> Iterator[tuple[str, str]]:
    """Versions that learnt from training sets which held the entity."""
    sets = {r.fingerprint for r in context.ledger.select(TrainingSetRecord) if (r.erased_at or 0) >= since}
    for version in context.ledger.select(ModelVersionRecord):
        if version.training_set in sets:
            name = f"model:{version.model}@{version.version}"
            yield name, "it was trained with rows of the entity, and MLflow has its figures: train it again"


def _files(context: Context, key: EntityKey) -> Iterator[tuple[str, str]]:
    """Scores that were written to files, and spines that are brought as files."""
    root = context.settings.root
    outs = {str(run.outputs.get("out", "")) for run in context.ledger.select(RunRecord, step="score")}
    for path in sorted(outs):
        if Path(path).is_file() and _holds(Path(path), key):
            yield path, "scores of the entity were written to it: it is yours to clear"
    for item in context.project.all(TrainingSet):
        spine = item.plain_spine
        if isinstance(spine, SpineTable) and _holds(root / spine.path, key):
            yield spine.path, f"the spine of {item.ref} has rows of the entity: it is yours to clear"


def _holds(path: Path, key: EntityKey) -> bool:
    import pyarrow as pa
    import pyarrow.dataset as ds

    try:
        file = ds.dataset(path, format="parquet" if path.suffix == ".parquet" else "csv")
        cells = key.within(Schema.from_arrow(file.schema))
        return cells is not None and file.count_rows(filter=rows_of(cells)) > 0
    except (pa.ArrowInvalid, OSError, ValueError):
        return False


def _elsewhere(context: Context) -> Iterator[tuple[str, str]]:
    settings: Settings = context.settings
    if list(context.path(LOG).glob("*.open")):
        yield (
            "predictions",
            "a server writes to the log: predictions for the entity are dropped when they are compacted",
        )
    if settings.online_url:
        yield f"online {settings.online}", "the server's own files and backups are its own"
    if settings.ledger:
        yield "ledger", "the database's own files and backups are its own"
    if (settings.directory / "docs").is_dir():
        yield "docs", "it was written before: inseam docs"
