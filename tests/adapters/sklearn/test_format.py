import json
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, QuantileTransformer, StandardScaler
from sklearn.svm import LinearSVC
from xgboost import XGBClassifier

from inseam.adapters.sklearn.archive import canonical_archive
from inseam.adapters.sklearn.format import SklearnFormat, _release
from inseam.ir.training import Task
from inseam.kernel.errors import DefinitionError, SettingError, UnsafeArtifactError

COLUMNS = ["a", "b", "c"]


def _data():
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(200, 3)), columns=COLUMNS)
    frame["c"] = random.integers(0, 4, 200).astype(float)
    return frame, (frame["a"] + random.normal(size=200) > 0).astype(int).to_numpy()


def _opened(model, tmp_path, frame):
    SklearnFormat().save(model, tmp_path, example=frame.to_numpy()[:8])
    return SklearnFormat().load(tmp_path, Task.BINARY)


def _asks_by_name(tmp_path):
    return json.loads((tmp_path / "sklearn.json").read_text())["columns"] is not None


MODELS = [
    RandomForestClassifier(5, random_state=0, n_jobs=2),
    GradientBoostingClassifier(n_estimators=5),
    CalibratedClassifierCV(RandomForestClassifier(5, random_state=0)),
    CalibratedClassifierCV(LogisticRegression(), method="isotonic"),
    GaussianNB(),
    KNeighborsClassifier(),
    MLPClassifier(max_iter=3, random_state=0),
    VotingClassifier([("a", LogisticRegression()), ("b", GaussianNB())], voting="soft"),
    make_pipeline(SelectKBest(k=2), StandardScaler(), LogisticRegression()),
    make_pipeline(FunctionTransformer(np.cbrt), QuantileTransformer(n_quantiles=10), LogisticRegression()),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_estimators_come_back_and_are_asked_without_a_warning(model, tmp_path):
    frame, y = _data()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(frame, y)
    predictor = _opened(model, tmp_path, frame)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = predictor.predict(frame.to_numpy())
    np.testing.assert_allclose(found, model.predict_proba(frame)[:, 1], rtol=1e-9)
    assert not _asks_by_name(tmp_path)


def test_a_model_that_picks_columns_by_name_is_asked_by_name(tmp_path):
    frame, y = _data()
    columns = ColumnTransformer([("codes", OneHotEncoder(), ["c"]), ("rest", "passthrough", ["b", "a"])])
    model = make_pipeline(columns, LogisticRegression()).fit(frame, y)
    predictor = _opened(model, tmp_path, frame)
    np.testing.assert_allclose(predictor.predict(frame.to_numpy()), model.predict_proba(frame)[:, 1], rtol=1e-12)
    assert _asks_by_name(tmp_path)


class Doubler(BaseEstimator, TransformerMixin):
    def fit(self, rows, y=None):
        return self

    def transform(self, rows):
        return rows * 2


@pytest.mark.parametrize(
    ("step", "named"),
    [(FunctionTransformer(lambda rows: rows), "<lambda>"), (Doubler(), "Doubler")],
    ids=["lambda", "class"],
)
def test_what_would_need_code_is_named(step, named, tmp_path):
    frame, y = _data()
    model = make_pipeline(step, LogisticRegression()).fit(frame, y)
    with pytest.raises(UnsafeArtifactError, match=named) as refused:
        SklearnFormat().save(model, tmp_path, example=frame.to_numpy()[:8])
    assert refused.value.problems[0].mend


def test_another_librarys_estimator_in_a_pipeline_is_refused(tmp_path):
    frame, y = _data()
    model = make_pipeline(StandardScaler(), XGBClassifier(n_estimators=2)).fit(frame, y)
    with pytest.raises(UnsafeArtifactError):
        SklearnFormat().save(model, tmp_path, example=frame.to_numpy()[:8])


def test_an_archive_with_a_type_off_the_list_is_not_opened(tmp_path):
    import skops.io as skops

    frame, y = _data()
    model = make_pipeline(Doubler(), LogisticRegression()).fit(frame, y)
    (tmp_path / "model.skops").write_bytes(canonical_archive(skops.dumps(model)))
    (tmp_path / "sklearn.json").write_text(json.dumps({"columns": None, "version": _release()}))
    with pytest.raises(UnsafeArtifactError, match="Doubler"):
        SklearnFormat().load(tmp_path, Task.BINARY)


def test_the_list_has_every_estimator_and_loading_one_imports_no_more_than_it_needs(tmp_path):
    code = (
        "import sys; from inseam.adapters.sklearn.skops_io import skops_io; skops_io();"
        "assert 'sklearn.mixture' not in sys.modules and 'torch' not in sys.modules;"
        "from sklearn.utils import all_estimators; from inseam.adapters.sklearn.estimators import ESTIMATORS;"
        "found = {f'{kind.__module__}.{kind.__name__}' for _, kind in all_estimators()};"
        "assert ESTIMATORS == found, ESTIMATORS ^ found"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_a_classifier_without_probabilities_says_what_to_do(tmp_path):
    frame, y = _data()
    with pytest.raises(DefinitionError, match="CalibratedClassifierCV"):
        _opened(LinearSVC().fit(frame, y), tmp_path, frame)


def test_a_model_of_another_release_says_which_to_install(tmp_path):
    frame, y = _data()
    _opened(GaussianNB().fit(frame, y), tmp_path, frame)
    asks = json.loads((tmp_path / "sklearn.json").read_text())
    (tmp_path / "sklearn.json").write_text(json.dumps(asks | {"version": "0.24"}))
    with pytest.raises(SettingError, match=r"saved by 0\.24") as refused:
        SklearnFormat().load(tmp_path, Task.BINARY)
    assert "scikit-learn==0.24.*" in refused.value.problems[0].mend
