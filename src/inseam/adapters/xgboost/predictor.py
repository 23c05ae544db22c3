"""Asks a loaded XGBoost model, on one thread."""

from __future__ import annotations

import numpy as np
import xgboost

from inseam.ir.training import Task
from inseam.kernel.errors import DataError, UnsafeArtifactError


class LibraryPredictor:
    """`Predictor` over a `Booster`. Each row runs down the same trees in the same order, alone or in a batch."""

    is_row_independent = True

    def __init__(self, booster: xgboost.Booster, task: Task) -> None:
        self._booster = booster
        self._task = task
        self._width = int(booster.num_features())

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        if matrix.ndim != 2 or matrix.shape[1] != self._width:
            raise DataError("model input", f"shape {matrix.shape}", expected=f"(rows, {self._width})")
        narrow = np.ascontiguousarray(matrix, np.float32)
        return np.asarray(self._booster.inplace_predict(narrow, validate_features=False), np.float64)


def open_predictor(content: bytearray, task: Task) -> LibraryPredictor:
    """The predictor of a saved model; `UnsafeArtifactError` when the bytes are no XGBoost model."""
    booster = xgboost.Booster()
    try:
        booster.load_model(content)
    except xgboost.core.XGBoostError as error:
        raise UnsafeArtifactError("XGBoost model", f"it cannot be read: {str(error).splitlines()[0]}") from error
    booster.set_param({"nthread": 1})
    return LibraryPredictor(booster, task)
