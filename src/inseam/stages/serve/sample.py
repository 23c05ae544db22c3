"""Draws a sample of what an endpoint answered: from the log's segments and from its table, uniformly, by column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from inseam.ir.encoding import to_numpy
from inseam.ir.reservoir import Reservoir
from inseam.ir.training import EndpointSpec
from inseam.kernel.types import DataType, Field, Schema, arrow_type
from inseam.ports.tables import Tables
from inseam.stages.serve import segment
from inseam.stages.serve.columns import prediction_columns, predictions_arrow
from inseam.stages.serve.compact import PREDICTIONS
from inseam.stages.serve.record import NO_INSTANT, NO_VERSION, Batch, Context, names_of

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 16_384
_NOT_WANTED = ("model", "model_digest", "latency_us")


@dataclass(frozen=True, slots=True)
class ViewReads:
    """What one view gave, an item a prediction. ``boundaries`` (int64 UTC microseconds) and ``versions`` (int64) mean
    nothing where no row was found; ``is_read`` is False where the caller gave the features itself.
    """

    boundaries: np.ndarray
    versions: np.ndarray
    is_missing: np.ndarray
    is_stale: np.ndarray
    is_read: np.ndarray


@dataclass(frozen=True, slots=True)
class Sample:
    """Predictions drawn from ``population``. ``columns``: features, inputs and on-demand features, as the model saw
    them, in the forms of `encoding.to_numpy`; NULL where a prediction's model did not know that column in this type.
    """

    population: int
    at: np.ndarray
    model_versions: np.ndarray
    keys: pa.Table
    columns: Mapping[str, np.ndarray]
    views: Mapping[str, ViewReads]


def draw(
    directory: Path, tables: Tables, spec: EndpointSpec, *, since: int, most: int, seed: int | None = None
) -> Sample:
    """Up to ``most`` predictions that were made at or after ``since`` (UTC microseconds), by column."""
    wanted = _wanted(spec)
    reservoir = Reservoir(Schema.of(wanted.items()).to_arrow(), most, seed)
    # Segments first: what a compaction moves in between is seen twice, and once is enough.
    for rows in _in_segments(directory, spec.name, wanted, since):
        reservoir.offer(rows)
    seen = set(reservoir.rows["id"].to_pylist())
    for rows in _in_table(tables, f"{PREDICTIONS}/{spec.name}", wanted, since):
        reservoir.offer(_without(rows, seen))
    return _sample(spec, reservoir)


def _wanted(spec: EndpointSpec) -> dict[str, DataType]:
    context = Context(
        id="",
        endpoint=spec.name,
        model=spec.model,
        version=NO_VERSION,
        digest="",
        keys=names_of(spec.keys),
        inputs=names_of(spec.inputs),
        features=names_of(tuple(field for view in spec.views for field in view.schema)),
        derived=names_of(tuple(Field(one.name, one.type) for one in spec.on_demand)),
        views=tuple(view.name for view in spec.views),
    )
    return {name: type_ for name, type_ in prediction_columns(context, 0) if name not in _NOT_WANTED}


def _in_segments(directory: Path, endpoint: str, wanted: Mapping[str, DataType], since: int) -> Iterator[pa.Table]:
    names = sorted(directory.glob("*")) if directory.is_dir() else []
    for path in (path for path in names if path.suffix in (segment.OPEN, segment.SEALED)):
        for candidate in (path, path.with_suffix(segment.SEALED)):  # it may be sealed meanwhile, or compacted
            try:
                yield from _in_segment(candidate, endpoint, wanted, since)
            except FileNotFoundError:
                continue
            break


def _in_segment(path: Path, endpoint: str, wanted: Mapping[str, DataType], since: int) -> Iterator[pa.Table]:
    contexts: dict[str, Context] = {}
    waiting: dict[str, list[Batch]] = {}
    for entries in segment.read(path):
        for entry in entries:
            if isinstance(entry, Context):
                contexts[entry.id] = entry
            elif isinstance(entry, Batch) and entry.at >= since and contexts[entry.context].endpoint == endpoint:
                waiting.setdefault(entry.context, []).append(entry)
        for key in [key for key, held in waiting.items() if sum(len(batch.latency) for batch in held) >= _ROWS]:
            yield _fitted(contexts[key], waiting.pop(key), wanted)
    for key, held in waiting.items():
        yield _fitted(contexts[key], held, wanted)


def _fitted(context: Context, batches: list[Batch], wanted: Mapping[str, DataType]) -> pa.Table:
    import pyarrow as pa

    types = dict(prediction_columns(context, batches[0].width))
    rows = predictions_arrow(context, batches)
    empty = {name: pa.nulls(rows.num_rows, arrow_type(type_)) for name, type_ in wanted.items()}
    return pa.table({name: rows[name] if types.get(name) is wanted[name] else empty[name] for name in wanted})


def _in_table(tables: Tables, table: str, wanted: Mapping[str, DataType], since: int) -> Iterator[pa.Table]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    snapshot = tables.snapshot(table) if table in tables.list() else None
    if snapshot is None or not snapshot.files:
        return
    schema = snapshot.schema
    data = ds.dataset(list(snapshot.files), schema=schema.to_arrow(), format="parquet", filesystem=tables.files)
    # A column whose type has changed has the type in its name.
    columns = {}
    for name, type_ in wanted.items():
        held = [pc.field(one) for one in (name, f"{name}:{type_}") if schema.type_of(one) is type_]
        columns[name] = pc.coalesce(*held) if held else pa.scalar(None, arrow_type(type_))
    recent = pc.field("at") >= pa.scalar(since, arrow_type(DataType.TIMESTAMP))
    for batch in data.to_batches(columns=columns, filter=recent):
        yield pa.Table.from_batches([batch]).cast(Schema.of(wanted.items()).to_arrow())


def _without(rows: pa.Table, seen: set[str]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not seen:
        return rows
    return rows.filter(pc.invert(pc.is_in(rows["id"], pa.array(sorted(seen), pa.string()))))


def _sample(spec: EndpointSpec, reservoir: Reservoir) -> Sample:
    rows = reservoir.rows
    features = [field for view in spec.views for field in view.schema]
    columns = {field.name: to_numpy(rows[f"feature:{field.name}"], field.type) for field in features}
    columns |= {field.name: to_numpy(rows[f"input:{field.name}"], field.type) for field in spec.inputs}
    columns |= {one.name: to_numpy(rows[f"derived:{one.name}"], one.type) for one in spec.on_demand}
    return Sample(
        reservoir.offered,
        _whole(rows["at"], NO_INSTANT),
        _whole(rows["model_version"], NO_VERSION),
        rows.select([f"key:{field.name}" for field in spec.keys]).rename_columns([field.name for field in spec.keys]),
        columns,
        {view.name: _view_reads(rows, view.name) for view in spec.views},
    )


def _view_reads(rows: pa.Table, view: str) -> ViewReads:
    missing = _whole(rows[f"missing:{view}"], -1)
    return ViewReads(
        _whole(rows[f"boundary:{view}"], NO_INSTANT),
        _whole(rows[f"version:{view}"], NO_VERSION),
        missing == 1,
        _whole(rows[f"stale:{view}"], 0) == 1,
        missing >= 0,
    )


def _whole(column: pa.ChunkedArray, empty: int) -> np.ndarray:
    """int64, with ``empty`` for NULL."""
    import pyarrow as pa
    import pyarrow.compute as pc

    filled: np.ndarray = pc.fill_null(column.cast(pa.int64()), empty).to_numpy()
    return filled
