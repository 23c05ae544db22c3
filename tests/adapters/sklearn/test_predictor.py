"""Which models give a row the same bits in any company, so that a server may ask them once for many requests."""

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from inseam.adapters.sklearn.format import SklearnFormat
from inseam.ir.training import Task

COLUMNS = ColumnTransformer([("n", StandardScaler(), [0, 1]), ("c", OneHotEncoder(handle_unknown="ignore"), [2])])


def _opened(model, tmp_path):
    random = np.random.default_rng(0)
    matrix = random.normal(size=(300, 3))
    matrix[:, 2] = random.integers(0, 4, 300)
    label = np.where(matrix[:, 0] + random.normal(0, 0.5, 300) > 0, "yes", "no")
    SklearnFormat().save(model.fit(matrix, label), tmp_path, example=matrix[:2])
    return SklearnFormat().load(tmp_path, Task.BINARY), matrix


@pytest.mark.parametrize(
    "model",
    [
        HistGradientBoostingClassifier(max_iter=20),
        GradientBoostingClassifier(n_estimators=20),
        make_pipeline(COLUMNS, GradientBoostingClassifier(n_estimators=20)),
    ],
    ids=["histogram", "trees", "pipeline"],
)
def test_boosted_trees_are_asked_in_company_and_give_the_bits_of_a_row_alone(model, tmp_path):
    predictor, matrix = _opened(model, tmp_path)
    assert predictor.is_row_independent
    alone = np.concatenate([predictor.predict(matrix[row : row + 1]) for row in range(len(matrix))])
    for rows in (2, 7, 64, 300):
        np.testing.assert_array_equal(predictor.predict(matrix[:rows]), alone[:rows])


def test_what_multiplies_matrices_is_asked_row_by_row(tmp_path):
    predictor, _ = _opened(make_pipeline(COLUMNS, LogisticRegression()), tmp_path)
    assert not predictor.is_row_independent
