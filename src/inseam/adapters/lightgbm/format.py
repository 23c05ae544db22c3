"""LightGBM models in the library's own text, which holds trees and numbers and no code.

By default LightGBM times two layouts and keeps the faster, so sums may round differently from run to run: pass
``deterministic=True, force_row_wise=True`` where the same seed must give the same bytes on data large enough for that.
Excluded: custom objectives, whose output only their own code could turn into a prediction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inseam.ir.training import Task
from inseam.kernel.errors import DataError, UnsafeArtifactError

if TYPE_CHECKING:
    import lightgbm
    import numpy as np

_MODEL = "model.txt"


class LightgbmFormat:
    """Saves a `Booster` or any estimator of LightGBM's scikit-learn interface. Early stopping's best round is kept."""

    name = "lightgbm"

    def accepts(self, model: Any) -> bool:
        return any(kind.__module__.partition(".")[0] == "lightgbm" for kind in type(model).__mro__)

    def save(self, model: Any, directory: Path, *, example: np.ndarray) -> None:
        (directory / _MODEL).write_text(_booster(model).model_to_string(num_iteration=None), encoding="utf-8")

    def load(self, directory: Path, task: Task) -> LightgbmPredictor:
        import lightgbm

        try:
            booster = lightgbm.Booster(model_str=(directory / _MODEL).read_text(encoding="utf-8"))
        except (lightgbm.basic.LightGBMError, UnicodeDecodeError) as error:
            raise UnsafeArtifactError("LightGBM model", f"it cannot be read: {error}") from error
        return LightgbmPredictor(booster)

    def importances(self, model: Any, names: Sequence[str]) -> Mapping[str, float]:
        """The total gain of each feature's splits, as a share of all."""
        gains = _booster(model).feature_importance("gain")
        whole = float(gains.sum()) or 1.0
        return {name: float(gain) / whole for name, gain in zip(names, gains, strict=True)}


class LightgbmPredictor:
    """`Predictor` over a `Booster`, on one thread. Each row runs down the same trees in the same order."""

    is_row_independent = True

    def __init__(self, booster: lightgbm.Booster) -> None:
        self._booster = booster
        self._width = int(booster.num_feature())

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        import numpy as np

        if matrix.ndim != 2 or matrix.shape[1] != self._width:
            raise DataError("model input", f"shape {matrix.shape}", expected=f"(rows, {self._width})")
        if len(matrix) == 0:
            classes = self._booster.num_model_per_iteration()
            return np.empty((0, classes) if classes > 1 else (0,))
        return np.asarray(self._booster.predict(matrix, num_threads=1), np.float64)


def _booster(model: Any) -> Any:
    if callable(getattr(model, "objective", None)):
        raise UnsafeArtifactError(
            f"LightGBM {type(model).__name__}",
            "its objective is a Python function, which would have to be run to read its output",
            expected="an objective that LightGBM knows by name",
            mend="choose one of LightGBM's own objectives",
        )
    return getattr(model, "booster_", model)
