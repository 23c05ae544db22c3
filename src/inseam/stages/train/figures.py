"""The pictures of an evaluation, as PNG files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inseam.ir.labels import Classes
from inseam.ir.training import Task

if TYPE_CHECKING:
    import numpy as np


def draw(
    directory: Path,
    task: Task,
    truth: np.ndarray,
    output: np.ndarray,
    *,
    classes: Classes,
    importances: Mapping[str, float],
) -> None:
    """Write the figures that fit the task into ``directory``, named after what they show."""
    from inseam.stages.train import plots

    with plots.style():
        if task is Task.BINARY:
            plots.roc(directory, {str(classes[1]): (truth == 1, output)})
            plots.precision_recall(directory, {str(classes[1]): (truth == 1, output)})
            plots.calibration(directory, truth == 1, output)
        if task is Task.MULTICLASS:
            each = {str(name): (truth == code, output[:, code]) for code, name in enumerate(classes)}
            plots.roc(directory, each)
            plots.precision_recall(directory, each)
            plots.calibration(directory, output.argmax(1) == truth, output.max(1))
        if task is Task.REGRESSION:
            plots.residuals(directory, truth, output)
            plots.predicted(directory, truth, output)
        else:
            said = output.argmax(1) if output.ndim == 2 else (output >= 0.5).astype(int)
            plots.confusion(directory, truth, said, [str(name) for name in classes])
        if importances:
            plots.importance(directory, importances)


def draw_slices(
    directory: Path, metric: str, whole: Mapping[str, Any], slices: Mapping[str, Mapping[str, Any]]
) -> None:
    """One figure a sliced column, ``slices_1.png`` ...: the model's metric for each value, beside that of all rows."""
    from inseam.stages.train import plots

    with plots.style():
        for place, (column, parts) in enumerate(slices.items(), 1):
            if parts:
                plots.slices(directory, f"slices_{place}", column, metric, whole, parts)
