"""Moves sealed segments of the prediction log into tables, each record exactly once, whatever is killed when.

A plan names the segments and the number under which they are committed; it is on disk before the first commit. A
crash leaves the plan: the next run repeats it, tables ignore a number that they have seen, and then segments go.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import uuid_utils

from inseam.ir.forgotten import Forgotten
from inseam.kernel.errors import ConflictError
from inseam.kernel.types import DataType, Schema, arrow_type
from inseam.ports.tables import CommitKey, Tables
from inseam.stages.serve import segment
from inseam.stages.serve.columns import OUTCOME_SCHEMA, outcomes_arrow, prediction_columns, predictions_arrow
from inseam.stages.serve.ids import format_id
from inseam.stages.serve.record import Batch, Context, Outcome

if TYPE_CHECKING:
    import pyarrow as pa

PREDICTIONS, OUTCOMES = "predictions", "outcomes"
_PLAN, _LOCK, _IDENTITY = "compact.plan", "compact.lock", "log.id"
_ROWS = 16_384
_MOST_BYTES = 512 << 20


class _Plan(msgspec.Struct):
    number: int
    segments: list[str]


def compact(
    directory: Path, tables: Tables, forgotten: Forgotten | None = None, *, wait_seconds: float = 0.0
) -> Mapping[str, int]:
    """Commit all sealed segments (and those of dead writers) and delete them; rows by table.

    Predictions for entities that were ``forgotten``, and their outcomes, are dropped. `ConflictError` when another
    process is compacting this directory for longer than ``wait_seconds``.
    """
    if not directory.is_dir():
        return {}
    counts: Counter[str] = Counter()
    with locked(directory, wait_seconds):
        segment.seal_orphans(directory)
        application = f"prediction-log:{_identity(directory)}"
        while (plan := _read_plan(directory) or _make_plan(directory, tables, application)) is not None:
            counts.update(_carry_out(directory, tables, plan, application, forgotten or Forgotten()))
    return dict(counts)


def _carry_out(directory: Path, tables: Tables, plan: _Plan, application: str, forgotten: Forgotten) -> Counter[str]:
    paths = [path for name in plan.segments if (path := directory / name).exists()]
    contexts, widths, outcomes = _survey(paths)
    dropped = _predictions_of(forgotten, paths, contexts) if forgotten else frozenset()
    counts: Counter[str] = Counter()
    key = CommitKey(application, plan.number)
    for endpoint in sorted({context.endpoint for context in contexts.values()}):
        table = f"{PREDICTIONS}/{endpoint}"
        own = {context.id: context for context in contexts.values() if context.endpoint == endpoint}
        batches = _prediction_batches(paths, own, _schema(tables, table, own, widths), dropped)
        counts[table] += _append(tables, table, batches, key)
    for endpoint in sorted(outcomes):
        table = f"{OUTCOMES}/{endpoint}"
        counts[table] += _append(tables, table, _outcome_batches(paths, endpoint, dropped), key)
    for path in paths:
        path.unlink(missing_ok=True)
    (directory / _PLAN).unlink()
    return counts


def _append(tables: Tables, table: str, stream: tuple[pa.Schema, Iterator[pa.RecordBatch]], key: CommitKey) -> int:
    import pyarrow as pa

    seen = tables.committed(table, key.application)
    if seen is not None and seen >= key.number:
        return 0
    schema, batches = stream
    rows = 0

    def counted() -> Iterator[pa.RecordBatch]:
        nonlocal rows
        for batch in batches:
            rows += batch.num_rows
            yield batch

    tables.append(table, pa.RecordBatchReader.from_batches(schema, counted()), key=key)
    return rows


def _survey(paths: list[Path]) -> tuple[dict[str, Context], dict[str, int], set[str]]:
    """Contexts by id, output widths by context, endpoints with outcomes."""
    contexts: dict[str, Context] = {}
    widths: dict[str, int] = {}
    outcomes: set[str] = set()
    for path in paths:
        for entries in segment.read(path):
            for entry in entries:
                if isinstance(entry, Context):
                    contexts[entry.id] = entry
                elif isinstance(entry, Batch):
                    widths[entry.context] = entry.width
                else:
                    outcomes.add(entry.endpoint)
    return {key: context for key, context in contexts.items() if key in widths}, widths, outcomes


def _predictions_of(forgotten: Forgotten, paths: list[Path], contexts: Mapping[str, Context]) -> frozenset[bytes]:
    """The ids of the predictions for entities that were forgotten."""
    import pyarrow as pa

    found: set[bytes] = set()
    for path in paths:
        for entry in (entry for entries in segment.read(path) for entry in entries if isinstance(entry, Batch)):
            fields = zip(contexts[entry.context].keys, entry.keys, strict=True)
            rows = forgotten.rows({name: pa.array(cells, arrow_type(type_)) for (name, type_), cells in fields})
            if rows is not None:
                found.update(entry.ids[16 * row : 16 * row + 16] for row in rows.nonzero()[0])
    return frozenset(found)


def _schema(tables: Tables, table: str, contexts: Mapping[str, Context], widths: Mapping[str, int]) -> dict[str, str]:
    """Column names by ``name:type``. A name whose type has changed since gets the type as a suffix."""
    taken: dict[str, DataType] = {}
    if table in tables.list():
        taken = {field.name: field.type for field in tables.snapshot(table).schema}
    names: dict[str, str] = {}
    for context in contexts.values():
        for name, type_ in prediction_columns(context, widths[context.id]):
            names[f"{name}:{type_}"] = name if taken.setdefault(name, type_) is type_ else f"{name}:{type_}"
    return names


def _prediction_batches(
    paths: list[Path], contexts: Mapping[str, Context], names: Mapping[str, str], dropped: Collection[bytes]
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    gone = pa.array([format_id(int.from_bytes(id_, "big")) for id_ in dropped], pa.string())
    schema = Schema.of((name, key.rpartition(":")[2]) for key, name in names.items()).to_arrow()

    def fitted(context: Context, waiting: list[Batch]) -> pa.RecordBatch:
        table = predictions_arrow(context, waiting)
        if len(gone):
            table = table.filter(pc.invert(pc.is_in(table["id"], value_set=gone)))
        types = dict(prediction_columns(context, waiting[0].width))
        columns = {names[f"{name}:{types[name]}"]: table[name].combine_chunks() for name in table.column_names}
        empty = (field for field in schema if field.name not in columns)
        columns |= {field.name: pa.nulls(table.num_rows, field.type) for field in empty}
        return pa.record_batch([columns[field.name] for field in schema], schema=schema)

    def batches() -> Iterator[pa.RecordBatch]:
        waiting: dict[str, list[Batch]] = {}
        for path in paths:
            for entries in segment.read(path):
                for entry in entries:
                    if isinstance(entry, Batch) and entry.context in contexts:
                        waiting.setdefault(entry.context, []).append(entry)
            for key in [key for key, held in waiting.items() if sum(len(b.latency) for b in held) >= _ROWS]:
                yield fitted(contexts[key], waiting.pop(key))
        for key, held in waiting.items():
            yield fitted(contexts[key], held)

    return schema, batches()


def _outcome_batches(
    paths: list[Path], endpoint: str, dropped: Collection[bytes]
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    def batches() -> Iterator[pa.RecordBatch]:
        for path in paths:
            found = [
                entry
                for entries in segment.read(path)
                for entry in entries
                if isinstance(entry, Outcome) and entry.endpoint == endpoint and entry.id not in dropped
            ]
            yield from outcomes_arrow(found).to_batches()

    return OUTCOME_SCHEMA.to_arrow(), batches()


def _make_plan(directory: Path, tables: Tables, application: str) -> _Plan | None:
    """The oldest sealed segments, as many as fit in one commit; None when there are none."""
    chosen: list[str] = []
    size = 0
    for path in sorted(directory.glob(f"*{segment.SEALED}")):
        size += path.stat().st_size
        if chosen and size > _MOST_BYTES:
            break
        chosen.append(path.name)
    if not chosen:
        return None
    own = [name for name in tables.list() if name.partition("/")[0] in (PREDICTIONS, OUTCOMES)]
    plan = _Plan(max((tables.committed(name, application) or 0 for name in own), default=0) + 1, chosen)
    _write_durably(directory / _PLAN, msgspec.json.encode(plan))
    return plan


def _read_plan(directory: Path) -> _Plan | None:
    try:
        return msgspec.json.decode((directory / _PLAN).read_bytes(), type=_Plan)
    except FileNotFoundError:
        return None


def _identity(directory: Path) -> str:
    """This log's name among all that feed the same tables."""
    path = directory / _IDENTITY
    if not path.exists():
        _write_durably(path, str(uuid_utils.uuid4()).encode())
    return path.read_text(encoding="ascii")


def _write_durably(path: Path, content: bytes) -> None:
    temporary = path.with_name(f"{path.name}.part")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(directory: Path, wait_seconds: float = 0.0) -> Iterator[None]:
    """Keep others from compacting a log for a block; `ConflictError` when another process does so for longer."""
    descriptor = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    until = time.monotonic() + wait_seconds
    try:
        while not _has_taken(descriptor):
            if time.monotonic() >= until:
                raise ConflictError(f"prediction log {directory.name}", "another process is compacting it")
            time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def _has_taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
