"""Batch inference of a model's champion, or of a version that is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from inseam.define.model import Model
from inseam.ir.spine import AnySpine, SnapshotsSpine, Spine, TableSpine, WildcardSpine, plain
from inseam.ir.training import TrainingSetSpec
from inseam.ir.windows import EVENT_TIME
from inseam.kernel.errors import DataError
from inseam.kernel.names import did_you_mean
from inseam.ports.bundle import BundleManifest, open_kept
from inseam.ports.progress import Progress, silent
from inseam.run.context import Context
from inseam.run.files import columns_of, digest_of
from inseam.run.learning import champion_of, version_of
from inseam.run.runs import run
from inseam.run.settling import instant_of, settle

if TYPE_CHECKING:
    from inseam.stages.score.scoring import ScoreResult


def score(
    context: Context,
    name: str,
    *,
    out: Path | None = None,
    as_of: int | None = None,
    spine: Path | None = None,
    version: int | None = None,
    progress: Progress = silent,
) -> ScoreResult:
    """Ask the model for every active entity at ``as_of`` (default: now), or for each row of a ``spine`` file.

    A spine file holds the keys, ``event_time``, and the columns that a request would bring; without the key of a
    wildcard each of its rows is scored for every member. ``out`` None: rows are appended to the Delta table
    ``scores/NAME``.
    """
    from inseam.stages.score.scoring import score as ask

    schemas = context.checked()
    record = champion_of(context, name) if version is None else version_of(context, name, version)
    bundle = open_kept(context.models, record.path, record.digest)
    training_set = context.model(name, schemas).training_set
    instant = instant_of(as_of)
    if spine is None:
        rows = _of_entities(context, name, training_set, instant)
    else:
        rows = _of_file(spine, bundle.manifest, training_set)
    settle(context, context.project.get(Model, name))
    with run(context.ledger, "score", name, record.digest, {"version": record.version, "as_of": instant}) as opened:
        result = ask(
            bundle,
            rows,
            training_set.views,
            version=record.version,
            engine=context.engine,
            tables=context.tables,
            out=out if out is not None else f"scores/{name}",
            progress=progress,
        )
        opened.outputs = {"rows": result.rows, "out": result.out, "snapshots": result.snapshots}
    return result


def _of_entities(context: Context, name: str, training_set: TrainingSetSpec, instant: int) -> AnySpine:
    from inseam.stages.score.entities import entities_at

    spine = plain(training_set.spine)
    if not isinstance(spine, SnapshotsSpine):
        declared = context.project.get(Model, name)
        raise DataError(
            f"model:{name}",
            "it is asked about rows, not about entities on a grid",
            expected=f"a spine file with the columns of {declared.training_set.ref}",
            mend="give --spine FILE",
        )
    return _unfolding(training_set.spine, entities_at(spine.relation, spine.keys, instant, spine.active))


def _of_file(path: Path, manifest: BundleManifest, training_set: TrainingSetSpec) -> AnySpine:
    schema, spine = columns_of(path), training_set.spine
    left_out = spine.key if isinstance(spine, WildcardSpine) and spine.key not in schema else None
    keys = tuple(field.name for field in manifest.keys if field.name != left_out)
    needed = (*keys, *(field.name for field in manifest.inputs), EVENT_TIME)
    for column in needed:
        if column not in schema:
            raise DataError(
                str(path),
                f"it has no column {column!r}",
                expected=", ".join(needed),
                mend=did_you_mean(column, schema.names),
            )
    within = TableSpine(str(path), digest_of(path), keys, EVENT_TIME, schema)
    return within if left_out is None else _unfolding(spine, within)


def _unfolding(spine: AnySpine, within: Spine) -> AnySpine:
    """Other rows than those of a spine, with its wildcard if it has one."""
    return replace(spine, within=within) if isinstance(spine, WildcardSpine) else within
