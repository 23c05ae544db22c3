"""Batch inference: the same features and the same bundle as serving, streamed from a spine to a file or a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa

from inseam.ir.spine import AnySpine
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.frozen import fingerprint
from inseam.ports.bundle import Bundle
from inseam.ports.engine import Engine
from inseam.ports.parquet_file import parquet_file
from inseam.ports.pin import pinned_spine, pinned_views, relations_of, versions
from inseam.ports.progress import Progress, silent
from inseam.ports.rows import watched
from inseam.ports.tables import CommitKey, Tables
from inseam.ports.wildcard import spine_rows
from inseam.stages.score.answers import ask


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """``out``: the Parquet file, or the Delta table; ``snapshots``: the version of each table that was read."""

    model: str
    version: int
    rows: int
    out: str
    snapshots: dict[str, int]
    table_version: int | None = None
    """The snapshot that the rows became, when they went into a table."""
    is_repeated: bool = False
    """The table holds these very rows already, so that nothing was added."""


def score(
    bundle: Bundle,
    spine: AnySpine | pa.RecordBatchReader,
    views: Sequence[WindowedAggregate],
    *,
    version: int,
    engine: Engine,
    tables: Tables,
    out: Path | str,
    progress: Progress = silent,
) -> ScoreResult:
    """Ask a model for each row of the spine, in the spine's order, and write the answers at once or not at all.

    ``views``: those of the bundle, as they were trained. ``out``: a path (a Parquet file, replaced) or the name of a
    table: one commit is appended, at most once for the same model, spine and snapshots, however often it is asked.
    Columns: see `output_schema`. Every table is read at one version. The model is asked where the features are. The
    outputs have the bits of served predictions where the predictor is row by row (`Predictor.is_row_independent`).
    """
    is_stream = isinstance(spine, pa.RecordBatchReader)
    snapshots = versions(tables, relations_of(None if is_stream else spine, views))
    key = None if is_stream or isinstance(out, Path) else _key(bundle, version, spine, snapshots)
    if key is not None and tables.committed(str(out), key.application) is not None:
        return ScoreResult(bundle.manifest.model, version, 0, str(out), snapshots, is_repeated=True)
    rows = spine if is_stream else spine_rows(engine, pinned_spine(spine, snapshots))
    answers = ask(bundle, version, engine.features(rows, pinned_views(views, snapshots)))
    seen, parts = _Seen(progress), partial(progress, "score, parts")
    committed: int | None = None
    if isinstance(out, Path):
        with parquet_file(out, answers.schema) as file:
            for batch in watched(answers.reader(parts), seen):
                file.write(batch)
    else:
        metadata = {"model": f"{bundle.manifest.model}@{version}"}
        committed = tables.append(out, answers, key=key, metadata=metadata, seen=seen, parts=parts)
    return ScoreResult(bundle.manifest.model, version, seen.rows, str(out), snapshots, committed)


class _Seen:
    """How many rows are answered, which is reported."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.rows = 0

    def __call__(self, rows: int) -> None:
        self.rows = rows
        self._progress("score", rows)


def _key(bundle: Bundle, version: int, spine: AnySpine, snapshots: dict[str, int]) -> CommitKey:
    """Names a scoring by everything that decides its rows."""
    return CommitKey(f"score:{fingerprint([bundle.digest, version, spine, snapshots])}", 1)
