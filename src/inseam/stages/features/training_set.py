"""Builds a training set: features and label at each instant of the spine, split by time, written once."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, replace
from functools import partial, reduce
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from inseam.ir.records import TrainingSetRecord
from inseam.ir.spine import TableSpine, WildcardSpine, plain
from inseam.ir.training import LABEL, PART, TrainingSetSpec
from inseam.kernel import clock
from inseam.kernel.errors import DataError
from inseam.kernel.frozen import fingerprint
from inseam.ports.artifacts import Artifacts
from inseam.ports.engine import Engine
from inseam.ports.ledger import Ledger
from inseam.ports.parquet_file import ROW_GROUP, parquet_file
from inseam.ports.pin import pinned_spine, pinned_views, relations_of, versions
from inseam.ports.progress import Progress, silent
from inseam.ports.rows import Rows
from inseam.ports.tables import Tables
from inseam.ports.wildcard import spine_rows
from inseam.stages.features.digest import RowsDigest
from inseam.stages.features.label import Tally, declared_watermark, ripe_until
from inseam.stages.features.rows import Finished, finished
from inseam.stages.features.spine_rows import Ripe, instants, kept, purged, ripe_rows
from inseam.stages.features.split import Split, split_of

WAIT_SECONDS = 24 * 3600.0
"""How long a builder waits for another that builds the same set."""
_LAYOUT = 1
"""Rises when what is written for the same definition and data changes."""


@dataclass(frozen=True)
class _Build:
    """One set to build: ``spec`` with the snapshots it reads, and where everything is."""

    spec: TrainingSetSpec
    fingerprint: str
    snapshots: dict[str, int]
    watermark: int | None
    artifacts: Artifacts
    engine: Engine
    ledger: Ledger
    progress: Progress

    @property
    def name(self) -> str:
        return f"{self.spec.name}/{self.fingerprint}.parquet"

    @property
    def path(self) -> Path:
        """Where it is written."""
        return self.artifacts.directory.resolve() / self.name


def build(
    spec: TrainingSetSpec,
    *,
    engine: Engine,
    tables: Tables,
    ledger: Ledger,
    artifacts: Artifacts,
    progress: Progress = silent,
) -> TrainingSetRecord:
    """Keep ``<name>/<fingerprint>.parquet`` among ``artifacts``, and its record, or find them already written.

    Columns: keys, ``event_time``, carried columns, features, `LABEL`, `PART`; rows in the spine's order. Left out and
    counted are rows whose label is not ripe, training rows whose label has seen what lies behind the split, and rows
    whose label is NULL. The same definition, snapshots and watermark give the same fingerprint, and the same
    fingerprint the same digest. `DataError` when no row is left.
    """
    build_ = _pinned(spec, engine, tables, ledger, artifacts, progress)
    found = _written(build_)
    if found is not None:
        return found
    with ledger.lease(f"training_set:{build_.fingerprint}", wait_seconds=WAIT_SECONDS):
        try:
            return _written(build_) or _write(build_)
        finally:
            artifacts.leave(build_.name)


def _pinned(
    spec: TrainingSetSpec, engine: Engine, tables: Tables, ledger: Ledger, artifacts: Artifacts, progress: Progress
) -> _Build:
    window = spec.label.window
    snapshots = versions(tables, relations_of(spec.spine, [*spec.views, *([window] if window else [])]))
    watermark = declared_watermark(spec.label, ledger)
    within = plain(spec.spine)
    brought = within.digest if isinstance(within, TableSpine) else None
    whole = fingerprint((_LAYOUT, spec.fingerprint, sorted(snapshots.items()), watermark, brought))
    pinned = replace(
        spec,
        spine=pinned_spine(spec.spine, snapshots),
        views=pinned_views(spec.views, snapshots),
        label=spec.label if window is None else replace(spec.label, window=pinned_views([window], snapshots)[0]),
    )
    return _Build(pinned, whole, snapshots, watermark, artifacts, engine, ledger, progress)


def _written(build_: _Build) -> TrainingSetRecord | None:
    """The record of this set when its file is there too; a directory that was moved takes its sets along."""
    record = build_.ledger.get(TrainingSetRecord, build_.fingerprint)
    if record is None or not build_.artifacts.has(build_.name):
        return None
    address = build_.artifacts.address(build_.name)
    if record.path != address:
        record = replace(record, path=address)
        build_.ledger.put(record)
    return record


def _write(build_: _Build) -> TrainingSetRecord:
    spec, before = build_.spec, build_.ledger.get(TrainingSetRecord, build_.fingerprint)
    until = ripe_until(spec.label, build_.watermark, build_.engine)
    spine = spine_rows(build_.engine, spec.spine).hold()
    seen = spine.consume(partial(ripe_rows, until), lambda rows: build_.progress("spine", rows))
    ripe = reduce(operator.or_, seen, Ripe())
    if ripe.rows == 0:
        raise _nothing(spec, until, ripe.unripe)
    split = split_of(spec.split, ripe.first, ripe.last, spec.label.ahead)
    left_out = purged(spine, until, split)
    digest, counts = _write_rows(build_, kept(spine, until, split), ripe.rows - left_out, split)
    counts |= {"purged": left_out, "unripe": ripe.unripe}
    if before is not None and before.erased_at is None and before.digest != digest:
        raise DataError(
            f"training_set:{spec.name}",
            "its file was lost, and building it again gave other rows",
            expected=f"digest {before.digest[:16]}…, found {digest[:16]}…",
            mend="on-demand features may use nothing but their parameters: no clock, no random numbers, no files",
        )
    statistics = _statistics(build_)
    build_.artifacts.keep(build_.name)
    record = TrainingSetRecord(
        fingerprint=build_.fingerprint,
        name=spec.name,
        digest=digest,
        path=build_.artifacts.address(build_.name),
        rows=counts["rows"],
        counts=counts,
        snapshots=dict(build_.snapshots),
        statistics=statistics,
        built_at=clock.now(),
    )
    build_.ledger.put(record)
    return record


def _nothing(spec: TrainingSetSpec, until: int | None, unripe: int) -> DataError:
    subject = f"training_set:{spec.name}"
    if unripe == 0 or until is None:
        members = (
            f", and the members that {spec.spine.members.name} names" if isinstance(spec.spine, WildcardSpine) else ""
        )
        return DataError(subject, "the spine has no row", mend=f"check the spine's start, end and source{members}")
    return DataError(
        subject,
        f"none of the spine's {unripe:,} rows has a label that is known yet",
        expected=f"rows at or before {clock.format_instant(until)}, which is "
        f"{clock.format_duration(spec.label.ahead)} before the newest data of the label's source",
        mend="ingest newer data, or start the spine earlier",
    )


def _write_rows(build_: _Build, spine: Rows, total: int, split: Split) -> tuple[str, dict[str, Any]]:
    """Features, label and part of every row of the spine into the file; the rows' digest and what was counted."""
    spec = build_.spec
    window = spec.label.window
    views = [*spec.views, *([window] if window is not None else [])]
    found = build_.engine.features(spine, views)
    schema = Finished(spec, spine.schema, found.schema, split).schema
    rows = found.map(partial(finished, spec, spine.schema, found.schema, split), schema.to_arrow())
    digest, tally, test = RowsDigest(schema), Tally(spec.label.type), 0
    with parquet_file(build_.path, rows.schema) as file:
        for batch in rows.reader(partial(build_.progress, "features, parts")):
            digest.update(batch)
            tally.update(batch.column(LABEL))
            test += int(split.is_test(instants(batch)).sum())
            file.write(batch)
            build_.progress("features", file.rows, total)
    counts = {
        "rows": file.rows,
        "train": file.rows - test,
        "test": test,
        "dropped_null_label": total - file.rows,
        "split_at": split.at,
    }
    return digest.hexdigest(), counts | tally.summary()


def _statistics(build_: _Build) -> dict[str, Any]:
    """Of features and label, for each part: the baseline against which drift is judged."""
    names = list(dict.fromkeys([*(field.name for field in build_.spec.features), LABEL]))
    found: dict[str, Any] = {}
    for part in ("train", "test"):
        build_.progress("statistics", len(found), 2)
        found[part] = _finite(build_.engine.describe(_rows_of(build_.path, names, part)))
    return found


def _rows_of(path: Path, names: list[str], part: str) -> pa.RecordBatchReader:
    """Columns of one part of a written set. Arrow's datasets would read far ahead, whatever the engine's limit."""
    file = pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 16)
    batches = file.iter_batches(ROW_GROUP, columns=[*names, PART], use_threads=False)
    schema = pa.schema([file.schema_arrow.field(name) for name in names])
    rows = (batch.filter(pc.equal(batch.column(PART), part)).select(names) for batch in batches)
    return pa.RecordBatchReader.from_batches(schema, rows)


def _finite(value: Any) -> Any:
    """JSON knows no infinity."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
