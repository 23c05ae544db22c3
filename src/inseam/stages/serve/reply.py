"""The answer to a prediction request, and what it says of each row."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np

from inseam.ir.training import Task
from inseam.kernel.clock import format_instant
from inseam.ports.bundle import BundleManifest


class Prediction(msgspec.Struct, omit_defaults=True):
    """One row's answer. ``boundaries``: the instant for which each view's values were computed.

    Binary models give the ``probability`` of their positive class, multiclass models the likeliest ``class`` and the
    ``probabilities`` of all, regressions a ``prediction``. ``missing`` and ``stale`` name views. ``key``: whom the
    prediction is of, where the request may leave a part of it out.
    """

    id: str
    boundaries: dict[str, str]
    missing: list[str]
    stale: list[str]
    prediction: float | None = None
    probability: float | None = None
    class_: str | int | bool | None = msgspec.field(default=None, name="class")
    probabilities: dict[str, float] | None = None
    key: dict[str, Any] | None = None


class Reply(msgspec.Struct):
    endpoint: str
    model_version: int
    predictions: list[Prediction]


class ViewColumns(msgspec.Struct):
    """What the online store said of some rows, a column a view; nothing for features that the caller gave."""

    names: Sequence[str]
    boundaries: Sequence[np.ndarray]
    versions: Sequence[np.ndarray]
    missing: Sequence[np.ndarray]
    stale: Sequence[np.ndarray]
    has_missing: bool


iso = lru_cache(maxsize=4096)(format_instant)


def predictions(
    manifest: BundleManifest, ids: Sequence[str], output: np.ndarray, views: ViewColumns
) -> list[Prediction]:
    """A `Prediction` a row."""
    found = [
        Prediction(id_, boundaries, missing, stale)
        for id_, (boundaries, missing, stale) in zip(ids, _of_views(views, len(ids)), strict=True)
    ]
    if manifest.task is Task.MULTICLASS:
        names = [str(label) for label in manifest.classes]
        for prediction, row, best in zip(found, output.tolist(), output.argmax(axis=1).tolist(), strict=True):
            prediction.class_ = manifest.classes[best]
            prediction.probabilities = dict(zip(names, row, strict=True))
        return found
    values = output[:, 0].tolist()
    for prediction, value in zip(found, values, strict=True):
        if manifest.task is Task.BINARY:
            prediction.probability = value
        else:
            prediction.prediction = value
    return found


def _of_views(views: ViewColumns, rows: int) -> list[tuple[dict[str, str], list[str], list[str]]]:
    columns = [column.tolist() for column in views.boundaries]
    missing = [column.tolist() for column in views.missing]
    stale = [column.tolist() for column in views.stale]
    found = []
    for row in range(rows):
        absent = [name for name, column in zip(views.names, missing, strict=True) if column[row]]
        old = [name for name, column in zip(views.names, stale, strict=True) if column[row]]
        boundaries = {
            name: iso(column[row]) for name, column in zip(views.names, columns, strict=True) if name not in absent
        }
        found.append((boundaries, absent, old))
    return found
