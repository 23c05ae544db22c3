"""How good a model is on rows that training never saw: metrics with intervals, a naive baseline, slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from inseam.ir.metrics import metrics_of
from inseam.ir.slices import slices
from inseam.ir.training import Task
from inseam.kernel.errors import DataError

if TYPE_CHECKING:
    import numpy as np

RESAMPLES = 200


def checked_output(subject: str, output: np.ndarray, task: Task, rows: int, classes: int) -> np.ndarray:
    """The output, when it is what `Predictor.predict` promises for the task; `DataError` says what else it is."""
    import numpy as np

    shape = (rows, classes) if task is Task.MULTICLASS else (rows,)
    if output.shape != shape:
        raise DataError(
            subject,
            f"for {rows} rows the model gives an output of shape {output.shape}",
            expected=f"shape {shape} for {task}",
            mend="a classifier must give probabilities: e.g. XGBoost's binary:logistic or multi:softprob",
        )
    if not np.isfinite(output).all():
        raise DataError(
            subject, "the model gives NaN or infinity for some rows", mend="scale or clip what it is fitted on"
        )
    if task is not Task.REGRESSION and rows and (output.min() < 0 or output.max() > 1):
        raise DataError(
            subject,
            f"the model gives values from {output.min():.3g} to {output.max():.3g}",
            expected="probabilities between 0 and 1",
            mend="a classifier must give probabilities: e.g. XGBoost's binary:logistic or multi:softprob",
        )
    return output


def evaluate(
    task: Task, truth: np.ndarray, output: np.ndarray, *, seed: int, groups: np.ndarray | None
) -> dict[str, dict[str, float | None]]:
    """Every metric of the task: ``{name: {value, low, high}}`` with 95 % bootstrap intervals over entities."""
    from inseam.ir.resampling import estimates

    measures = {metric.name: metric.on(truth, output) for metric in metrics_of(task)} if len(truth) else {}
    ranges = {metric.name: (metric.low, metric.high) for metric in metrics_of(task)}
    found = estimates(measures, len(truth), count=RESAMPLES, seed=seed, groups=groups, ranges=ranges)
    return {name: estimate.as_dict() for name, estimate in found.items()}


def naive_output(task: Task, fitted_on: np.ndarray, rows: int, classes: int) -> np.ndarray:
    """What a model that knows no feature would say: the train part's class shares, or its mean."""
    import numpy as np

    if task is Task.REGRESSION:
        return np.full(rows, fitted_on.mean())
    shares = np.bincount(fitted_on, minlength=classes) / len(fitted_on)
    return np.full(rows, shares[1]) if task is Task.BINARY else np.tile(shares, (rows, 1))


def baseline(task: Task, fitted_on: np.ndarray, truth: np.ndarray, classes: int) -> dict[str, float | None]:
    """Each metric of `naive_output` on the test rows."""
    import numpy as np

    naive = naive_output(task, fitted_on, len(truth), classes)
    values = {metric.name: metric.value(truth, naive) for metric in metrics_of(task)}
    return {name: None if np.isnan(value) else value for name, value in values.items()}


def by_slice(
    task: Task,
    truth: np.ndarray,
    output: np.ndarray,
    columns: Mapping[str, np.ndarray],
    names: Sequence[str],
    *,
    seed: int,
    groups: np.ndarray | None,
) -> dict[str, dict[str, Any]]:
    """``{column: {value: {rows, metrics}}}`` for the most frequent values of each slicing column."""
    import numpy as np

    found: dict[str, dict[str, Any]] = {}
    for name in names:
        found[name] = {}
        for one in slices(columns[name]):
            own = None if groups is None else np.unique(groups[one.inside], return_inverse=True)[1]
            metrics = evaluate(task, truth[one.inside], output[one.inside], seed=seed, groups=own)
            found[name][one.label] = {"rows": one.rows, "metrics": metrics}
    return found
