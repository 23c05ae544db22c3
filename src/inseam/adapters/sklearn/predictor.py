"""Asks a loaded scikit-learn model, on one thread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from inseam.ir.training import Task
from inseam.kernel.errors import DataError


class SklearnPredictor:
    """`Predictor` over an estimator. ``columns``: the names it must be asked with; None: a bare matrix will do.

    BLAS and OpenMP are held to one thread during each call; joblib's workers are switched off for good.
    """

    def __init__(self, model: Any, task: Task, columns: Sequence[str] | None, *, is_row_independent: bool) -> None:
        self._model = model
        self._task = task
        self._columns = None if columns is None else list(columns)
        self._width = int(getattr(model, "n_features_in_", -1))
        self.is_row_independent = is_row_independent
        for part in nested(model):
            if getattr(part, "n_jobs", None) is not None:
                part.n_jobs = 1

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        if matrix.ndim != 2 or (self._width >= 0 and matrix.shape[1] != self._width):
            raise DataError("model input", f"shape {matrix.shape}", expected=f"(rows, {self._width})")
        if len(matrix) == 0:
            shape = (0, len(self._model.classes_)) if self._task is Task.MULTICLASS else (0,)
            return np.empty(shape)
        asked = matrix if self._columns is None else self._frame(matrix)
        with _threads().limit(limits=1):
            if self._task is Task.REGRESSION:
                return np.asarray(self._model.predict(asked), np.float64)
            shares = np.asarray(self._model.predict_proba(asked), np.float64)
        return shares if self._task is Task.MULTICLASS else np.ascontiguousarray(shares[:, 1])

    def _frame(self, matrix: np.ndarray) -> Any:
        import pandas as pd

        return pd.DataFrame(matrix, columns=self._columns)


@cache
def _threads() -> ThreadpoolController:
    return ThreadpoolController()


def nested(model: Any, seen: set[int] | None = None) -> Iterator[BaseEstimator]:
    """The estimator and every estimator inside it, wherever it is held."""
    seen = set() if seen is None else seen
    if id(model) in seen:
        return
    seen.add(id(model))
    if isinstance(model, BaseEstimator):
        yield model
        for value in list(vars(model).values()):
            yield from nested(value, seen)
    elif isinstance(model, dict):
        for value in model.values():
            yield from nested(value, seen)
    elif isinstance(model, list | tuple) or (isinstance(model, np.ndarray) and model.dtype == object):
        for value in model:
            yield from nested(value, seen)
    elif type(model).__module__ == "sklearn.calibration":
        yield from nested(vars(model), seen)
