"""Batch inference: the same features and the same bundle as serving, streamed from a spine to a file or a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from inseam.ir.encoding import to_numpy
from inseam.ir.spine import Spine
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.errors import DataError, InseamError
from inseam.kernel.frozen import fingerprint
from inseam.kernel.types import Schema
from inseam.ports.bundle import Bundle
from inseam.ports.engine import Engine
from inseam.ports.parquet_file import parquet_file
from inseam.ports.pin import pinned_spine, pinned_views, relations_of, versions
from inseam.ports.progress import Progress, silent
from inseam.ports.tables import CommitKey, Tables
from inseam.stages.score.predictions import check_columns, output_columns, output_schema, read_columns


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
    spine: Spine | pa.RecordBatchReader,
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
    Columns: see `output_schema`. Every table is read at one version. The outputs have the bits of served predictions
    where the predictor is row by row (`Predictor.is_row_independent`).
    """
    is_stream = isinstance(spine, pa.RecordBatchReader)
    snapshots = versions(tables, relations_of(None if is_stream else spine, views))
    key = None if is_stream or isinstance(out, Path) else _key(bundle, version, spine, snapshots)
    if key is not None and tables.committed(str(out), key.application) is not None:
        return ScoreResult(bundle.manifest.model, version, 0, str(out), snapshots, is_repeated=True)
    rows = spine if is_stream else engine.spine(pinned_spine(spine, snapshots))
    features = engine.features(rows, pinned_views(views, snapshots))
    answers = _Answers(bundle, version, features, progress)
    committed: int | None = None
    if isinstance(out, Path):
        with parquet_file(out, answers.schema) as file:
            for batch in answers.batches():
                file.write(batch)
    else:
        reader = pa.RecordBatchReader.from_batches(answers.schema, answers.batches())
        committed = tables.append(out, reader, key=key, metadata={"model": f"{bundle.manifest.model}@{version}"})
    return ScoreResult(bundle.manifest.model, version, answers.rows, str(out), snapshots, committed)


def _key(bundle: Bundle, version: int, spine: Spine, snapshots: dict[str, int]) -> CommitKey:
    """Names a scoring by everything that decides its rows."""
    return CommitKey(f"score:{fingerprint([bundle.digest, version, spine, snapshots])}", 1)


class _Answers:
    """The predictions for a stream of features, batch by batch. ``rows`` counts what has been answered."""

    def __init__(self, bundle: Bundle, version: int, features: pa.RecordBatchReader, progress: Progress) -> None:
        stream = Schema.from_arrow(features.schema)
        check_columns(bundle, stream)
        self._bundle, self._version, self._features, self._progress = bundle, version, features, progress
        self.schema: pa.Schema = output_schema(bundle.manifest, stream).to_arrow()
        self.rows = 0

    def batches(self) -> Iterator[pa.RecordBatch]:
        manifest = self._bundle.manifest
        needed = read_columns(manifest)
        kept = [name for name in self._features.schema.names if name in self.schema.names[: len(manifest.keys) + 1]]
        for batch in self._features:
            if batch.num_rows == 0:
                continue
            output = self._ask({name: to_numpy(batch.column(name), type_) for name, type_ in needed.items()})
            columns = [batch.column(name).cast(self.schema.field(name).type) for name in kept]
            columns += output_columns(manifest, output)
            columns += [pa.repeat(manifest.model, batch.num_rows), pa.repeat(pa.scalar(self._version), batch.num_rows)]
            self.rows += batch.num_rows
            self._progress("score", self.rows)
            yield pa.record_batch(columns, schema=self.schema)

    def _ask(self, columns: dict[str, np.ndarray]) -> np.ndarray:
        try:
            return self._bundle.predict(columns)
        except InseamError:
            raise
        except Exception as error:
            raise DataError(
                f"model:{self._bundle.manifest.model}@{self._version}",
                f"it could not answer: {type(error).__name__}: {str(error).strip().partition(chr(10))[0]}",
                mend="a model that refuses NULL needs an imputer in its pipeline",
            ) from error
