"""The compiled walk against the library, over boosters, objectives and kinds of splits."""

import numpy as np
import pandas as pd
import pytest
import xgboost

from inseam.adapters.xgboost.format import XgboostFormat
from inseam.adapters.xgboost.predictor import ForestPredictor, LibraryPredictor
from inseam.ir.training import Task
from inseam.kernel.errors import DataError, UnsafeArtifactError

ROWS, COLUMNS = 600, 5
CATEGORIES = {"feature_types": ["q", "q", "q", "c", "q"], "enable_categorical": True}


def _data(seed=0):
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(ROWS, COLUMNS))
    matrix[random.random(matrix.shape) < 0.15] = np.nan
    matrix[:, 3] = np.where(random.random(ROWS) < 0.1, np.nan, random.integers(0, 12, ROWS))
    score = np.nan_to_num(matrix[:, 0]) + np.nan_to_num(matrix[:, 3]) % 3 + random.normal(0, 0.5, ROWS)
    return matrix, score


def _opened(model, tmp_path, task):
    XgboostFormat().save(model, tmp_path, example=np.zeros((1, COLUMNS)))
    return XgboostFormat().load(tmp_path, task)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"max_depth": 1},
        {"grow_policy": "lossguide", "max_leaves": 8},
        {"num_parallel_tree": 3, "subsample": 0.5},
        {"base_score": 0.9},
        {**CATEGORIES, "max_cat_to_onehot": 1},
        {**CATEGORIES, "max_cat_to_onehot": 100},
    ],
    ids=str,
)
def test_probabilities_are_the_librarys(params, tmp_path):
    matrix, score = _data()
    model = xgboost.XGBClassifier(n_estimators=15, **params).fit(matrix, (score > 1).astype(int))
    predictor = _opened(model, tmp_path, Task.BINARY)
    assert isinstance(predictor, ForestPredictor)
    # Codes that no training row had, and values at the thresholds' own precision, go the library's way too.
    asked = np.vstack([matrix, _data(1)[0]])
    asked[:5, 3] = [12, 40, 99, 0.5, 7.9]
    np.testing.assert_allclose(predictor.predict(asked), model.predict_proba(asked)[:, 1], rtol=1e-5, atol=1e-7)


def test_classes_are_the_librarys(tmp_path):
    matrix, score = _data()
    model = xgboost.XGBClassifier(n_estimators=10).fit(matrix, np.digitize(score, [0, 1, 2]))
    predictor = _opened(model, tmp_path, Task.MULTICLASS)
    assert isinstance(predictor, ForestPredictor)
    np.testing.assert_allclose(predictor.predict(matrix), model.predict_proba(matrix), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("objective", "kind"),
    [
        ("reg:squarederror", ForestPredictor),
        ("reg:absoluteerror", ForestPredictor),
        ("count:poisson", ForestPredictor),
        ("reg:gamma", ForestPredictor),
        ("reg:squaredlogerror", LibraryPredictor),
    ],
)
def test_values_are_the_librarys(objective, kind, tmp_path):
    matrix, score = _data()
    model = xgboost.XGBRegressor(n_estimators=10, objective=objective).fit(matrix, np.exp(score / 3))
    predictor = _opened(model, tmp_path, Task.REGRESSION)
    assert isinstance(predictor, kind)
    np.testing.assert_allclose(predictor.predict(matrix), model.predict(matrix), rtol=1e-5)


@pytest.mark.parametrize("booster", ["dart", "gblinear"])
def test_other_boosters_are_left_to_the_library(booster, tmp_path):
    matrix, score = _data()
    model = xgboost.XGBRegressor(n_estimators=5, booster=booster).fit(matrix, score)
    predictor = _opened(model, tmp_path, Task.REGRESSION)
    assert isinstance(predictor, LibraryPredictor)
    np.testing.assert_allclose(predictor.predict(matrix), model.predict(matrix), rtol=1e-6)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("booster", ["gbtree", "dart"])
def test_numbers_beyond_float32_are_read_as_the_library_reads_them(booster, tmp_path):
    matrix, score = _data()
    model = xgboost.XGBRegressor(n_estimators=5, booster=booster).fit(matrix, score)
    asked = np.where(np.arange(COLUMNS) == 0, np.array([[1e300], [-1e300], [3.5e38], [1e-320], [np.inf]]), 0.5)
    said = _opened(model, tmp_path, Task.REGRESSION).predict(asked)
    np.testing.assert_allclose(said, model.get_booster().inplace_predict(asked), rtol=1e-6)
    assert said[0] != said[1]


def test_a_linear_booster_names_the_columns_that_are_infinite(tmp_path):
    matrix, score = _data()
    named = pd.DataFrame(matrix, columns=[f"f{place}" for place in range(COLUMNS)])
    predictor = _opened(
        xgboost.XGBRegressor(n_estimators=5, booster="gblinear").fit(named, score), tmp_path, Task.REGRESSION
    )
    asked = np.where(np.arange(COLUMNS) == 1, np.array([[1e300], [np.nan]]), 0.5)
    with pytest.raises(DataError, match="infinite as float32: f1"):
        predictor.predict(asked)
    assert np.isfinite(predictor.predict(asked[1:])).all()


def test_early_stopping_keeps_the_best_round(tmp_path):
    matrix, score = _data()
    label = (score > 1).astype(int)
    model = xgboost.XGBClassifier(n_estimators=200, early_stopping_rounds=3, learning_rate=0.9)
    model.fit(matrix[:400], label[:400], eval_set=[(matrix[400:], label[400:])], verbose=False)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    predictor = _opened(model, tmp_path, Task.BINARY)
    np.testing.assert_allclose(predictor.predict(matrix), model.predict_proba(matrix)[:, 1], rtol=1e-5, atol=1e-7)


def test_an_objective_of_the_users_own_is_refused(tmp_path):
    def objective(truth, said):
        return said - truth, np.ones_like(said)

    matrix, score = _data()
    model = xgboost.XGBRegressor(n_estimators=2, objective=objective).fit(matrix, score)
    with pytest.raises(UnsafeArtifactError, match="objective is a Python function"):
        XgboostFormat().save(model, tmp_path, example=matrix[:1])
