"""Figures and tables of an evaluation, as files that wait on disk until the tracker has them."""

from __future__ import annotations

import csv
import logging
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inseam.ir.labels import Classes
from inseam.ir.training import ModelSpec
from inseam.stages.train.figures import draw, draw_slices

if TYPE_CHECKING:
    import numpy as np

_log = logging.getLogger("inseam.train")

UNTRACKED = "untracked"
"""Beside the directory of bundles: a directory a training, called after its id, until the tracker holds it."""

_STALE_SECONDS = 24 * 3600.0


@contextmanager
def waiting(models: Path, id: str) -> Iterator[Path]:
    """A directory to put files in; it takes its place when the block ends, and goes when the block fails."""
    home = models.parent / UNTRACKED
    for left in home.glob(".*"):  # by trainers that were killed
        if time.time() - left.stat().st_mtime > _STALE_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
    draft = home / f".{id}"
    draft.mkdir(parents=True)
    try:
        yield draft
        draft.rename(home / id)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def importances_of(model: str, asked: Callable[[], Mapping[str, float]]) -> dict[str, float]:
    """A model's own measure of its features, as data; none, with a warning, where its library cannot say."""
    try:
        return {name: float(value) for name, value in asked().items() if math.isfinite(value)}
    except Exception as error:  # noqa: BLE001 - whatever the model's library raises
        _log.warning("importances of model %s are missing: %s: %s", model, type(error).__name__, error)
        return {}


def write_evidence(
    directory: Path,
    spec: ModelSpec,
    truth: np.ndarray,
    output: np.ndarray,
    metrics: Mapping[str, Any],
    *,
    classes: Classes,
) -> None:
    """``figures/*.png`` and ``slices.csv``. A picture that cannot be drawn is a warning: the model is worth more."""
    figures = directory / "figures"
    figures.mkdir()
    try:
        _write_slices(directory / "slices.csv", metrics["slices"])
        if len(truth) == 0:
            return
        draw(figures, spec.task, truth, output, classes=classes, importances=metrics["importances"])
        draw_slices(figures, spec.metric, metrics["test"][spec.metric], metrics["slices"])
    except Exception as error:  # noqa: BLE001 - whatever the drawing library raises
        reason = str(error).partition("\n")[0]
        _log.warning("figures of model %s are missing: %s: %s", spec.name, type(error).__name__, reason)


def _write_slices(path: Path, slices: Mapping[str, Any]) -> None:
    """A row a column, value and metric; what is undefined is empty."""
    if not slices:
        return
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("column", "value", "rows", "metric", "estimate", "low", "high"))
        for column, parts in slices.items():
            for value, part in parts.items():
                for name, found in part["metrics"].items():
                    writer.writerow((column, value, part["rows"], name, found["value"], found["low"], found["high"]))
