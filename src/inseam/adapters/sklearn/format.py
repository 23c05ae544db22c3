"""scikit-learn models as skops files, opened with an allow-list that this loader holds.

Excluded, because loading them would need code that the model brought: classes of the user's own, lambdas and functions
inside `FunctionTransformer`, and estimators of other libraries inside a pipeline.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inseam.adapters.sklearn.allowed import ROW_INDEPENDENT, TRUSTED
from inseam.adapters.sklearn.archive import canonical_archive
from inseam.adapters.sklearn.skops_io import skops_io
from inseam.ir.training import Task
from inseam.kernel.errors import DefinitionError, SettingError, UnsafeArtifactError

if TYPE_CHECKING:
    import numpy as np

    from inseam.adapters.sklearn.predictor import SklearnPredictor

_MODEL, _ASKS = "model.skops", "sklearn.json"


class SklearnFormat:
    """Saves any fitted estimator whose parts are all on the allow-list. The same model gives the same bytes."""

    name = "sklearn"

    def accepts(self, model: Any) -> bool:
        roots = {kind.__module__.partition(".")[0] for kind in type(model).__mro__}
        return "sklearn" in roots and not roots & {"xgboost", "lightgbm"}

    def save(self, model: Any, directory: Path, *, example: np.ndarray) -> None:
        """Write ``model.skops``, and how it wants to be asked: with a matrix, or with a DataFrame of named columns."""
        skops = skops_io()
        try:
            content = canonical_archive(skops.dumps(model))
            untrusted = sorted(set(skops.get_untrusted_types(data=content)) - TRUSTED)
        except (TypeError, AttributeError, NotImplementedError) as error:
            raise UnsafeArtifactError(_subject(model), f"a part of it cannot be saved as data: {error}") from error
        if untrusted:
            raise UnsafeArtifactError(
                _subject(model),
                f"loading it would run code of {', '.join(untrusted)}",
                expected="arrays, ufuncs and what the loader's list names (inseam.adapters.sklearn.allowed.TRUSTED)",
                mend="compute such a step as an on-demand feature, or return an XGBoost or LightGBM model by itself",
            )
        (directory / _MODEL).write_bytes(content)
        columns = list(getattr(model, "feature_names_in_", [])) or None
        is_named = columns is not None and _needs_names(content, columns, example)
        asks = {"columns": columns if is_named else None, "version": _release()}
        (directory / _ASKS).write_text(json.dumps(asks, indent=1) + "\n")

    def load(self, directory: Path, task: Task) -> SklearnPredictor:
        """`UnsafeArtifactError` for a type off the allow-list, `SettingError` for another release than it was saved by,
        `DefinitionError` for a classifier without probabilities."""
        from inseam.adapters.sklearn.predictor import SklearnPredictor, nested

        asks = _asks(directory)
        model = _read((directory / _MODEL).read_bytes())
        if task is not Task.REGRESSION and not hasattr(model, "predict_proba"):
            raise DefinitionError(
                _subject(model),
                "it gives no probabilities",
                mend="wrap it in CalibratedClassifierCV, or choose an estimator with predict_proba",
            )
        columns = asks["columns"]
        if columns is None:
            _forget_names(model)
        parts = {type(part).__name__ for part in nested(model)}
        return SklearnPredictor(model, task, columns, is_row_independent=parts <= ROW_INDEPENDENT)

    def importances(self, model: Any, names: Sequence[str]) -> Mapping[str, float]:
        """Impurity importances of trees, else the size of linear coefficients; of a pipeline, its last step's when its
        columns are still the features."""
        import numpy as np

        last = model[-1] if hasattr(model, "named_steps") else model
        weights = getattr(last, "feature_importances_", None)
        if weights is None and hasattr(last, "coef_"):
            weights = np.abs(np.atleast_2d(last.coef_)).mean(axis=0)
        if weights is None or len(weights) != len(names):
            return {}
        return {name: float(weight) for name, weight in zip(names, weights, strict=True)}


def _read(content: bytes) -> Any:
    skops = skops_io()
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        return skops.loads(content, trusted=sorted(TRUSTED))
    except UntrustedTypesFoundException as error:
        raise UnsafeArtifactError(_MODEL, str(error)) from error
    except Exception as error:
        raise UnsafeArtifactError(_MODEL, f"it cannot be read: {type(error).__name__}: {error}") from error


def _release() -> str:
    """The release of scikit-learn: within one, saved models keep their meaning; across two it promises nothing."""
    import sklearn

    return ".".join(sklearn.__version__.split(".")[:2])


def _asks(directory: Path) -> dict[str, Any]:
    try:
        asks: dict[str, Any] = json.loads((directory / _ASKS).read_text())
        saved_by = asks["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise UnsafeArtifactError(_ASKS, f"it cannot be read: {error}") from error
    if saved_by != _release():
        raise SettingError(
            "scikit-learn",
            f"the model was saved by {saved_by}, and {_release()} is installed",
            expected="the release that it was saved by: scikit-learn promises nothing across releases",
            mend=f"pip install 'scikit-learn=={saved_by}.*', or train the model again",
        )
    return asks


def _needs_names(content: bytes, columns: Sequence[str], example: np.ndarray) -> bool:
    """Whether the model answers a bare matrix otherwise than a DataFrame: column transformers pick by name.

    Asking with a DataFrame costs several times more, so it is done only where it must be.
    """
    import numpy as np
    import pandas as pd

    named, bare = _read(content), _read(content)
    _forget_names(bare)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            said = bare.predict(example)
        except Exception:  # noqa: BLE001 - whatever goes wrong, it needs its names
            return True
    return not np.array_equal(said, named.predict(pd.DataFrame(example, columns=list(columns))), equal_nan=False)


def _forget_names(model: Any) -> None:
    from inseam.adapters.sklearn.predictor import nested

    for part in nested(model):
        vars(part).pop("feature_names_in_", None)


def _subject(model: Any) -> str:
    return f"scikit-learn {type(model).__name__}"
