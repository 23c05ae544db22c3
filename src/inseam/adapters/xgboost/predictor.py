"""Asks a loaded XGBoost model, on one thread.

XGBoost's own prediction spends hundreds of microseconds before it looks at the first tree, which is more than a whole
served request may cost. So the trees are walked here, by a compiled loop over the same numbers; where that loop does
not know the booster or objective, or disagrees with the library on probing rows, the library is asked.
"""

from __future__ import annotations

import numpy as np
import xgboost

from inseam.adapters.xgboost.forest import Forest, forest_of
from inseam.ir.training import Task
from inseam.kernel.errors import DataError, UnsafeArtifactError
from inseam.ports.model_format import Predictor

_PROBES = 64


class LibraryPredictor:
    """`Predictor` over a `Booster`. Each row runs down the same trees in the same order, alone or in a batch."""

    is_row_independent = True

    def __init__(self, booster: xgboost.Booster) -> None:
        self._booster = booster
        self._width = int(booster.num_features())
        # Linear boosters only know the slower call.
        self._can_inplace = '"name":"gblinear"' not in booster.save_config().replace(" ", "")

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        narrow = _narrowed(matrix, self._width)
        if self._can_inplace:
            return np.asarray(self._booster.inplace_predict(narrow, validate_features=False), np.float64)
        self._check_finite(narrow)
        rows = xgboost.DMatrix(narrow, nthread=1)
        return np.asarray(self._booster.predict(rows, validate_features=False), np.float64)

    def _check_finite(self, narrow: np.ndarray) -> None:
        """`DataError` names the columns in which a sum of products has no answer; trees have one, and are not asked."""
        infinite = np.flatnonzero(np.isinf(narrow).any(axis=0)).tolist()
        if infinite:
            names = self._booster.feature_names or [f"column {place + 1}" for place in range(self._width)]
            told = ", ".join(names[place] for place in infinite)
            raise DataError("model input", f"infinite as float32: {told}", expected="finite numbers, or none")


class ForestPredictor:
    """`Predictor` over trees as arrays; equal to the library's output within float32 rounding of the last step."""

    is_row_independent = True

    def __init__(self, forest: Forest, width: int, task: Task) -> None:
        self._forest = forest
        self._width = width
        self._has_classes = task is Task.MULTICLASS

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        answer = self._forest(_narrowed(matrix, self._width))
        return answer if self._has_classes or answer.shape[1] > 1 else answer[:, 0]


def open_predictor(content: bytearray, task: Task) -> Predictor:
    """The predictor of a saved model; `UnsafeArtifactError` when the bytes are no XGBoost model."""
    booster = xgboost.Booster()
    try:
        booster.load_model(content)
    except xgboost.core.XGBoostError as error:
        raise UnsafeArtifactError("XGBoost model", f"it cannot be read: {str(error).splitlines()[0]}") from error
    booster.set_param({"nthread": 1})
    library = LibraryPredictor(booster)
    forest = forest_of(bytes(booster.save_raw("json")))
    if forest is None:
        return library
    walked = ForestPredictor(forest, int(booster.num_features()), task)
    return walked if _agree(walked, library, forest, int(booster.num_features())) else library


def _agree(walked: ForestPredictor, library: LibraryPredictor, forest: Forest, width: int) -> bool:
    """Whether both say the same of rows that are drawn around the trees' own thresholds, some values missing."""
    random = np.random.default_rng(0)
    probes = np.zeros((_PROBES, width))
    for column in range(width):
        thresholds = forest.thresholds(column)
        drawn = random.choice(thresholds, _PROBES) if len(thresholds) else np.zeros(_PROBES)
        probes[:, column] = drawn + random.choice([-1.0, 0.0, 1.0, np.nan], _PROBES)
    mine, theirs = walked.predict(probes), library.predict(probes)
    return mine.shape == theirs.shape and bool(np.allclose(mine, theirs, rtol=1e-4, atol=1e-6))


def _narrowed(matrix: np.ndarray, width: int) -> np.ndarray:
    if matrix.ndim != 2 or matrix.shape[1] != width:
        raise DataError("model input", f"shape {matrix.shape}", expected=f"(rows, {width})")
    # What float32 cannot hold becomes infinite, as the library itself narrows.
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(matrix, np.float32)
