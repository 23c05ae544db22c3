"""What of a training run goes to the tracker, for people to look at."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from inseam.ir.encoding import Encoding
from inseam.ir.records import ModelVersionRecord, TrainingSetRecord
from inseam.ir.training import ModelSpec, Task
from inseam.ports.tracker import TrackedRun
from inseam.stages.train.data import TestRows, TrainingData
from inseam.stages.train.figures import draw

if TYPE_CHECKING:
    import numpy as np

    from inseam.stages.train.training import Fitted

_log = logging.getLogger("inseam.train")


def log_evidence(
    run: TrackedRun,
    spec: ModelSpec,
    record: TrainingSetRecord,
    fitted: Fitted,
    metrics: Mapping[str, Any],
    provenance: Mapping[str, Any],
    data: TrainingData,
    test: TestRows,
    output: np.ndarray,
    figures: Path,
) -> None:
    """Parameters, metrics, where everything came from, and the figures, drawn into the directory ``figures``."""
    run.log(
        params={**fitted.params, "seed": spec.seed},
        metrics=_flat(metrics),
        tags={
            "model_fingerprint": spec.fingerprint,
            "training_set": record.name,
            "training_set_fingerprint": record.fingerprint,
            "training_set_digest": record.digest,
            "table_versions": _json(record.snapshots),
            "git_commit": str(provenance["commit"] or ""),
            "git_is_dirty": str(provenance["is_dirty"]),
            "libraries": _json(provenance["libraries"]),
            "format": fitted.format.name,
        },
    )
    importances = fitted.format.importances(fitted.model, data.encoding.names)
    if len(test.truth):
        draw(figures, spec.task, test.truth, output, classes=data.classes, importances=importances)
        run.log_files(figures, "figures")


def mirror_version(
    run: TrackedRun, directory: Path, version: ModelVersionRecord, encoding: Encoding, spec: ModelSpec
) -> None:
    """Register the version with the tracker. The ledger already holds it, so a failure here is only a warning."""
    outputs = {Task.BINARY: "probability", Task.MULTICLASS: "probabilities", Task.REGRESSION: "value"}
    signature = {
        "inputs": {column.name: column.type.value for column in encoding.columns},
        "outputs": {outputs[spec.task]: "float64"},
    }
    try:
        run.log_model(directory, name=version.model, version=version.version, signature=signature)
    except Exception as error:  # noqa: BLE001 - whatever the tracker's library raises
        _log.warning("model %s version %d is not mirrored: %s", version.model, version.version, error)


def _flat(metrics: Mapping[str, Any]) -> dict[str, float]:
    """``roc_auc``, ``roc_auc_low``, ``baseline_roc_auc``, ``rows_train`` ... without the undefined ones."""
    flat: dict[str, float | None] = {}
    for name, estimate in metrics["test"].items():
        flat |= {name: estimate["value"], f"{name}_low": estimate["low"], f"{name}_high": estimate["high"]}
    flat |= {f"baseline_{name}": value for name, value in metrics["baseline"].items()}
    flat |= {f"rows_{part}": float(count) for part, count in metrics["rows"].items()}
    return {name: value for name, value in flat.items() if value is not None}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
