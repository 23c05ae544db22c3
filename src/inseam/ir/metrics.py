"""The metrics of models: one table, read by the checker of declarations, by evaluation and by gates."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inseam.ir.training import Task
from inseam.kernel.errors import DefinitionError
from inseam.kernel.names import did_you_mean

if TYPE_CHECKING:
    import numpy as np

    Weighted = Callable[[np.ndarray], np.ndarray]
    """Weights of shape (resamples, rows) in, the metric of each resample out, NaN where it is undefined."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One number that says how good outputs are. ``formula`` names a function of `inseam.ir.metric_formulas`."""

    name: str
    task: Task
    greater_is_better: bool
    formula: str
    low: float = 0.0
    high: float = 1.0
    """No rows give less or more."""

    def on(self, truth: np.ndarray, output: np.ndarray) -> Weighted:
        """The metric of these rows as a function of row weights.

        ``truth``: int64 class codes, (rows,), or float64 for regression. ``output``: as `Predictor.predict` gives it.
        What doesn't depend on the weights (sorting, losses) is done here, once for all resamples.
        """
        from inseam.ir import metric_formulas

        prepared: Weighted = getattr(metric_formulas, self.formula)(truth, output)
        return prepared

    def value(self, truth: np.ndarray, output: np.ndarray) -> float:
        """The metric of these rows, each counted once. NaN where it is undefined (e.g. AUC of one class)."""
        import numpy as np

        if len(truth) == 0:
            return float("nan")
        return float(self.on(truth, output)(np.ones((1, len(truth))))[0])

    def gain(self, new: float, old: float) -> float:
        """How much better ``new`` is than ``old``: positive is better whatever the metric's direction."""
        return new - old if self.greater_is_better else old - new


def _table() -> dict[tuple[Task, str], Metric]:
    binary, many, regression = Task.BINARY, Task.MULTICLASS, Task.REGRESSION
    endless = math.inf
    rows = [
        Metric("roc_auc", binary, True, "roc_auc"),
        Metric("pr_auc", binary, True, "average_precision"),
        Metric("log_loss", binary, False, "log_loss", high=endless),
        Metric("brier", binary, False, "brier"),
        Metric("accuracy", binary, True, "accuracy"),
        Metric("f1", binary, True, "f1"),
        Metric("precision", binary, True, "precision"),
        Metric("recall", binary, True, "recall"),
        Metric("ece", binary, False, "calibration_error"),
        Metric("log_loss", many, False, "log_loss", high=endless),
        Metric("accuracy", many, True, "accuracy"),
        Metric("macro_f1", many, True, "macro_f1"),
        Metric("roc_auc", many, True, "roc_auc_one_vs_rest"),
        Metric("ece", many, False, "calibration_error"),
        Metric("rmse", regression, False, "rmse", high=endless),
        Metric("mae", regression, False, "mae", high=endless),
        Metric("r2", regression, True, "r2", low=-endless),
        Metric("mape", regression, False, "mape", high=endless),
        Metric("median_ae", regression, False, "median_absolute_error", high=endless),
        Metric("spearman", regression, True, "spearman", low=-1.0),
    ]
    return {(row.task, row.name): row for row in rows}


METRICS = _table()


def metrics_of(task: Task) -> tuple[Metric, ...]:
    """Every metric of a task, the most telling first."""
    return tuple(metric for metric in METRICS.values() if metric.task is task)


def metric(task: Task, name: str) -> Metric:
    """The metric of this name; `DefinitionError` when the task has none."""
    found = METRICS.get((task, name))
    if found is None:
        known = [one.name for one in metrics_of(task)]
        raise DefinitionError(f"metric:{name}", f"there is no such metric for {task}", mend=did_you_mean(name, known))
    return found
