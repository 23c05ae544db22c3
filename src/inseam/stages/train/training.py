"""Train one model: read, tune, fit, save, evaluate, register."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inseam.ir.records import ModelVersionRecord, TrainingSetRecord
from inseam.ir.training import ModelSpec
from inseam.kernel import clock
from inseam.kernel.errors import ConflictError
from inseam.kernel.types import Field
from inseam.ports.artifacts import Artifacts
from inseam.ports.bundle import BundleManifest, ViewUse, write_manifest
from inseam.ports.ledger import Ledger
from inseam.ports.model_format import Predictor
from inseam.ports.progress import Progress, silent
from inseam.stages.train.data import TestRows, TrainingData, read_test_part, read_train_part
from inseam.stages.train.evaluate import baseline, by_slice, evaluate
from inseam.stages.train.evidence import importances_of, waiting, write_evidence
from inseam.stages.train.fit import fit, format_for
from inseam.stages.train.provenance import as_data, git_state, library_versions
from inseam.stages.train.saving import ask, save_and_load
from inseam.stages.train.store import draft, publish
from inseam.stages.train.tune import tune

if TYPE_CHECKING:
    import numpy as np


def train(
    spec: ModelSpec,
    record: TrainingSetRecord,
    *,
    keys: tuple[Field, ...],
    views: tuple[ViewUse, ...],
    inputs: tuple[Field, ...],
    members: ViewUse | None = None,
    ledger: Ledger,
    models: Artifacts,
    repository: Path | None,
    run: str,
    progress: Progress = silent,
    params: Mapping[str, Any] | None = None,
) -> ModelVersionRecord:
    """Fit the model on the training set's train part and register it as the next version.

    ``models`` is where bundles are kept; ``repository`` the project's checkout, whose commit is noted; ``run`` the id
    of the run that this is done in, under which it is tracked. ``params`` replace declared ones and switch tuning off.
    What is evaluated is the saved model, loaded as serving loads it. A process killed at any instant leaves no version,
    or a whole one.
    """
    subject = f"model:{spec.name}"
    function = spec.function.resolve()
    progress("train: read", 0, 1)
    data = read_train_part(spec, record.path, keys)
    test = read_test_part(spec, record.path, keys, data.classes)
    progress("train: read", 1, 1)
    chosen: dict[str, Any] = {**spec.params, **(params or {})}
    provenance: dict[str, Any] = {
        "run": run,
        **git_state(repository),
        "libraries": library_versions(),
        "seed": spec.seed,
        "given_params": None if params is None else as_data(params),
        "unlabelled_test_rows": test.dropped,
    }
    if spec.tune is not None and params is None:
        search = tune(spec, record, function, data, ledger=ledger, models=models.directory, progress=progress)
        chosen |= search.params
        provenance["tune"] = search.summary
    progress("train: fit", 0, 1)
    model = fit(subject, function, data.lent(), chosen)
    progress("train: fit", 1, 1)
    with draft(models.directory, spec.name) as place:
        format_name, predictor = save_and_load(subject, model, place, spec.task, data.X.to_numpy())
        write_manifest(place, replace(_manifest(spec, record, data, format_name, keys, views, inputs), members=members))
        metrics, output = _evaluated(spec, data, test, predictor, keys, progress)
        digest = publish(place)
    models.keep(f"{spec.name}/{digest}")
    asked = partial(format_for(subject, model).importances, model, data.encoding.names)
    metrics["importances"] = importances_of(spec.name, asked)
    with waiting(models.directory, run) as files:
        write_evidence(files, spec, test.truth, output, metrics, classes=data.classes)
    return _register(spec, record, format_name, chosen, digest, metrics, provenance, ledger)


def _manifest(
    spec: ModelSpec,
    record: TrainingSetRecord,
    data: TrainingData,
    format_name: str,
    keys: tuple[Field, ...],
    views: tuple[ViewUse, ...],
    inputs: tuple[Field, ...],
) -> BundleManifest:
    return BundleManifest(
        model=spec.name,
        format=format_name,
        task=spec.task,
        classes=data.classes,
        keys=keys,
        views=views,
        inputs=inputs,
        on_demand=spec.training_set.on_demand,
        encoding=data.encoding,
        training_set=record.name,
        training_set_digest=record.digest,
    )


def _evaluated(
    spec: ModelSpec,
    data: TrainingData,
    test: TestRows,
    predictor: Predictor,
    keys: tuple[Field, ...],
    progress: Progress,
) -> tuple[dict[str, Any], np.ndarray]:
    from inseam.ir.resampling import group_codes

    progress("train: evaluate", 0, 1)
    columns, truth = test.rows.columns, test.truth
    matrix = data.encoding.matrix(columns)
    output = ask(f"model:{spec.name}", predictor, matrix, spec.task, len(data.classes))
    groups = group_codes(*(columns[key.name] for key in keys)) if keys and len(truth) else None
    slices = [name for name in spec.slices if name in columns]
    metrics = {
        "test": evaluate(spec.task, truth, output, seed=spec.seed, groups=groups),
        "baseline": baseline(spec.task, data.y, truth, len(data.classes)),
        "slices": by_slice(spec.task, truth, output, columns, slices, seed=spec.seed, groups=groups),
        "rows": {"train": len(data), "test": len(truth)},
    }
    progress("train: evaluate", 1, 1)
    return metrics, output


def _register(
    spec: ModelSpec,
    record: TrainingSetRecord,
    format_name: str,
    params: dict[str, Any],
    digest: str,
    metrics: dict[str, Any],
    provenance: dict[str, Any],
    ledger: Ledger,
) -> ModelVersionRecord:
    """Take the next free number; another trainer that takes it first makes this one take the one after."""
    while True:
        taken = [one.version for one in ledger.select(ModelVersionRecord, model=spec.name)]
        version = ModelVersionRecord(
            model=spec.name,
            version=max(taken, default=0) + 1,
            digest=digest,
            path=f"{spec.name}/{digest}",
            format=format_name,
            fingerprint=spec.fingerprint,
            training_set=record.fingerprint,
            training_set_digest=record.digest,
            metrics=metrics,
            params=as_data(params),
            provenance=provenance,
            created_at=clock.now(),
        )
        try:
            ledger.insert(version)
        except ConflictError:
            continue
        return version
