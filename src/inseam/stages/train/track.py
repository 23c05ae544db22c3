"""Mirrors registered versions to the tracker: after the ledger holds them, and again until the tracker has them."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from inseam.ir.records import ModelVersionRecord, TrainingSetRecord
from inseam.ir.training import Task
from inseam.kernel.errors import ConflictError
from inseam.ports.artifacts import Artifacts
from inseam.ports.bundle import BundleManifest, read_manifest
from inseam.ports.ledger import Ledger
from inseam.ports.tracker import Tracker, Training
from inseam.stages.train.evidence import UNTRACKED

_log = logging.getLogger("inseam.train")

_STALE_SECONDS = 24 * 3600.0
_OUTPUTS = {Task.BINARY: "probability", Task.MULTICLASS: "probabilities", Task.REGRESSION: "value"}


def track(*, models: Artifacts, ledger: Ledger, tracker: Tracker) -> tuple[str, ...]:
    """Hand over every version that still waits, and return those that the tracker did not take, as ``model@version``.

    What fails is a warning and waits for the next call: nothing that was trained depends on the tracker.
    """
    places = [place for place in (models.directory.parent / UNTRACKED).glob("*") if place.is_dir()]
    if not places:
        return ()
    versions = {version.provenance.get("run"): version for version in ledger.select(ModelVersionRecord)}
    left: list[str] = []
    is_down = False
    for place in sorted(places, key=lambda place: place.stat().st_mtime, reverse=True):
        version = versions.get(place.name)
        if version is None:
            _sweep(place)
        elif is_down or (error := _hand_over(place, version, models, ledger, tracker)) is not None:
            left.append(f"{version.model}@{version.version}")
            is_down = is_down or isinstance(error, ConnectionError)
    return tuple(sorted(left))


def _hand_over(
    place: Path, version: ModelVersionRecord, models: Artifacts, ledger: Ledger, tracker: Tracker
) -> Exception | None:
    name = f"{version.model}@{version.version}"
    try:
        with ledger.lease(f"track {place.name}"):
            tracker.record(_training(version, models, place, ledger))
            shutil.rmtree(place)
    except ConflictError:
        _log.info("model %s is being tracked by another process", name)
    except Exception as error:  # noqa: BLE001 - whatever the tracker's library raises
        _log.warning("model %s is not tracked yet, the next train or promote tries again: %s", name, error)
        return error
    return None


def _sweep(place: Path) -> None:
    """Remove what a trainer left that was killed before it registered its version."""
    if time.time() - place.stat().st_mtime > _STALE_SECONDS:
        shutil.rmtree(place, ignore_errors=True)


def _training(version: ModelVersionRecord, models: Artifacts, files: Path, ledger: Ledger) -> Training:
    provenance = version.provenance
    bundle = models.here(version.path)
    record = ledger.get(TrainingSetRecord, version.training_set)
    tags = {
        "model_fingerprint": version.fingerprint,
        "training_set": record.name if record is not None else "",
        "training_set_fingerprint": version.training_set,
        "training_set_digest": version.training_set_digest,
        "table_versions": _json(record.snapshots if record is not None else {}),
        **git_tags(provenance),
        "libraries": _json(provenance["libraries"]),
        "format": version.format,
        "model_digest": version.digest,
    }
    return Training(
        id=files.name,
        model=version.model,
        version=version.version,
        params={**version.params, "seed": provenance["seed"]},
        metrics=_flat(version.metrics),
        tags=tags,
        signature=_signature(read_manifest(bundle)),
        bundle=bundle,
        files=files,
        finished_at=version.created_at,
    )


def git_tags(provenance: Mapping[str, Any]) -> dict[str, str]:
    """What is known of the checkout: nothing outside of a repository."""
    tags = {"git_commit": provenance["commit"], "git_is_dirty": provenance["is_dirty"]}
    return {name: str(value) for name, value in tags.items() if value is not None}


def _signature(manifest: BundleManifest) -> dict[str, dict[str, str]]:
    inputs = {column.name: column.type.value for column in manifest.encoding.columns}
    return {"inputs": inputs, "outputs": {_OUTPUTS[manifest.task]: "float64"}}


def _flat(metrics: Mapping[str, Any]) -> dict[str, float]:
    """``roc_auc``, ``roc_auc_low``, ``baseline_roc_auc``, ``rows_train``, ``slices/store/north/roc_auc`` ... without
    the undefined ones."""
    flat: dict[str, float | None] = {}
    for name, estimate in metrics["test"].items():
        flat |= {name: estimate["value"], f"{name}_low": estimate["low"], f"{name}_high": estimate["high"]}
    flat |= {f"baseline_{name}": value for name, value in metrics["baseline"].items()}
    flat |= {f"rows_{part}": float(count) for part, count in metrics["rows"].items()}
    for column, parts in metrics["slices"].items():
        for value, part in parts.items():
            label = f"slices/{column}/{value.replace('/', '_')}"
            flat[f"{label}/rows"] = float(part["rows"])
            flat |= {f"{label}/{name}": estimate["value"] for name, estimate in part["metrics"].items()}
    return {name: value for name, value in flat.items() if value is not None}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
