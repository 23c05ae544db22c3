"""XGBoost models in the library's own binary JSON, which holds trees and numbers and no code.

The same seed, data, thread count and version give the same bytes with the CPU's ``hist`` and ``exact`` tree methods.
Excluded: custom objectives, whose output only their own code could turn into a prediction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inseam.ir.training import Task
from inseam.kernel.errors import UnsafeArtifactError

if TYPE_CHECKING:
    import numpy as np

    from inseam.ports.model_format import Predictor

_MODEL = "model.ubj"


class XgboostFormat:
    """Saves a `Booster` or any estimator of XGBoost's scikit-learn interface. Early stopping's best round is kept."""

    name = "xgboost"

    def accepts(self, model: Any) -> bool:
        return any(kind.__module__.partition(".")[0] == "xgboost" for kind in type(model).__mro__)

    def save(self, model: Any, directory: Path, *, example: np.ndarray) -> None:
        booster = _booster(model)
        best = booster.attr("best_iteration")
        if best is not None and int(best) + 1 < booster.num_boosted_rounds():
            booster = booster[: int(best) + 1]
        (directory / _MODEL).write_bytes(bytes(booster.save_raw("ubj")))

    def load(self, directory: Path, task: Task) -> Predictor:
        from inseam.adapters.xgboost.predictor import open_predictor

        return open_predictor(bytearray((directory / _MODEL).read_bytes()), task)

    def importances(self, model: Any, names: Sequence[str]) -> Mapping[str, float]:
        """The total gain of each feature's splits, as a share of all; a linear booster has no splits."""
        booster = _booster(model)
        if '"name":"gblinear"' in booster.save_config().replace(" ", ""):
            return {}
        gains = booster.get_score(importance_type="total_gain")
        by_place = {f"f{place}": name for place, name in enumerate(names)}
        named = {by_place.get(key, key): float(gain) for key, gain in gains.items()}
        whole = sum(named.values()) or 1.0
        return {name: named.get(name, 0.0) / whole for name in names}


def _booster(model: Any) -> Any:
    if callable(getattr(model, "objective", None)):
        raise UnsafeArtifactError(
            f"XGBoost {type(model).__name__}",
            "its objective is a Python function, which would have to be run to read its output",
            expected="an objective that XGBoost knows by name",
            mend="choose one of XGBoost's own objectives",
        )
    return model.get_booster() if hasattr(model, "get_booster") else model
