"""A model bundle: the saved model with everything that turns feature columns into a prediction.

Serving, batch scoring and replay all ask a bundle, so they cannot differ. A bundle is a directory with
``manifest.json`` and the files of its model format; its digest is over all of them and is checked before any is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from inseam.ir.encoding import Encoding
from inseam.ir.on_demand import OnDemandSpec, call
from inseam.ir.training import Task
from inseam.kernel.errors import NotFoundError, UnsafeArtifactError
from inseam.kernel.types import Field
from inseam.ports.artifacts import Artifacts
from inseam.ports.discover import adapter
from inseam.ports.model_format import Predictor

if TYPE_CHECKING:
    import numpy as np

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class ViewUse:
    """Which features of which view, at which fingerprint, the model was trained on."""

    view: str
    fingerprint: str
    features: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class BundleManifest:
    """``classes``: the labels in the order of the predictor's outputs; empty for regression."""

    model: str
    format: str
    task: Task
    classes: tuple[str | int | bool, ...]
    keys: tuple[Field, ...]
    views: tuple[ViewUse, ...]
    inputs: tuple[Field, ...]
    """Columns that come with the request or the spine."""
    on_demand: tuple[OnDemandSpec, ...]
    encoding: Encoding
    training_set: str
    training_set_digest: str
    members: ViewUse | None = None
    """What names the members of the spine's wildcard, which is the last of the keys."""

    @property
    def reads(self) -> tuple[ViewUse, ...]:
        """Every view whose online rows an endpoint needs."""
        return self.views if self.members is None else (*self.views, self.members)


@dataclass(frozen=True)
class Bundle:
    """An open bundle. ``functions`` are its on-demand functions, held to their digests."""

    manifest: BundleManifest
    digest: str
    predictor: Predictor
    functions: Mapping[str, Callable[..., Any]]
    place: tuple[Artifacts, str] | None = None
    """Where it lies: a bundle that travels to another process is opened from there, and its digest checked anew."""

    def __reduce__(self) -> tuple[Callable[..., Bundle], tuple[Any, ...]]:
        return _opened_there, (*(self.place or ()), self.digest)

    def matrix(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """float64 (rows, features) from columns of views, inputs and ``event_time``, as `encoding.to_numpy` gives them.

        On-demand features are computed here, in their declared order, so a later one may read an earlier.
        """
        known = dict(columns)
        for spec in self.manifest.on_demand:
            known[spec.name] = call(spec, self.functions[spec.name], known)
        return self.manifest.encoding.matrix(known)

    def predict(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """The model's output for each row, as `Predictor.predict` gives it."""
        return self.predictor.predict(self.matrix(columns))


def digest(directory: Path) -> str:
    """SHA-256 over the names and contents of all files of a bundle, in name order.

    `UnsafeArtifactError` when there is a link: what it leads to may change after it was looked at.
    """
    whole = hashlib.sha256()
    if links := sorted(path.name for path in directory.rglob("*") if path.is_symlink()):
        raise UnsafeArtifactError(
            f"bundle {directory.name}",
            f"it holds links: {', '.join(links)}",
            expected="plain files only",
            mend="restore the files or train the model again",
        )
    for path in sorted(p for p in directory.rglob("*") if p.is_file()):
        name = path.relative_to(directory).as_posix().encode()
        content = path.read_bytes()
        whole.update(b"%d %b %d " % (len(name), name, len(content)))
        whole.update(content)
    return whole.hexdigest()


def write_manifest(directory: Path, manifest: BundleManifest) -> None:
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    (directory / MANIFEST).write_bytes(text + b"\n")


def read_manifest(directory: Path) -> BundleManifest:
    try:
        return msgspec.json.decode((directory / MANIFEST).read_bytes(), type=BundleManifest)
    except FileNotFoundError:
        raise NotFoundError(f"bundle {directory.name}", "there is no model bundle here") from None
    except msgspec.DecodeError as error:
        raise UnsafeArtifactError(f"bundle {directory.name}", f"the manifest cannot be read: {error}") from None


def open_bundle(directory: Path, expected_digest: str) -> Bundle:
    """Open a bundle whose bytes are exactly those that were registered; `UnsafeArtifactError` otherwise."""
    if not directory.is_dir():
        raise NotFoundError(f"bundle {directory.name}", "there is no model bundle here")
    found = digest(directory)
    if found != expected_digest:
        raise UnsafeArtifactError(
            f"bundle {directory.name}",
            f"its digest is {found[:16]}…",
            expected=f"{expected_digest[:16]}…, as it was registered",
            mend="restore the files or train the model again",
        )
    manifest = read_manifest(directory)
    format_ = adapter("model_format", manifest.format)()
    return Bundle(
        manifest,
        found,
        format_.load(directory, manifest.task),
        {spec.name: spec.function.resolve() for spec in manifest.on_demand},
        (Artifacts(directory.resolve().parent), directory.name),
    )


def open_kept(models: Artifacts, name: str, expected_digest: str) -> Bundle:
    """As `open_bundle`, of a bundle by its name; a copy that was damaged on this machine is brought anew."""
    try:
        opened = open_bundle(models.here(name), expected_digest)
    except UnsafeArtifactError:
        if not models.leave(name):
            raise
        opened = open_bundle(models.here(name), expected_digest)
    return replace(opened, place=(models, name))


@lru_cache(maxsize=2)
def _opened_there(models: Artifacts, name: str, expected_digest: str) -> Bundle:
    """A bundle that travelled: a worker is given it with each part of the rows."""
    return open_kept(models, name, expected_digest)
