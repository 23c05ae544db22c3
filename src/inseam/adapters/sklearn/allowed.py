"""Which types a saved scikit-learn model may consist of, beside what skops itself trusts (arrays, numbers, ufuncs).

They are the estimators and what those hold. Each of the latter was read: building it from data runs scikit-learn's,
numpy's or scipy's own code and nothing else.
"""

from __future__ import annotations

from inseam.adapters.sklearn.estimators import ESTIMATORS

_DISTANCES = ("Euclidean", "Manhattan", "Chebyshev", "Minkowski", "Haversine")

TRUSTED: frozenset[str] = frozenset(
    {
        *ESTIMATORS,
        "numpy.dtype",
        "sklearn.tree._tree.Tree",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.calibration._TemperatureScaling",
        "sklearn.utils._bunch.Bunch",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.neighbors._ball_tree.BallTree",
        "sklearn.feature_selection._univariate_selection.f_classif",
        "sklearn.feature_selection._univariate_selection.f_regression",
        "sklearn.feature_selection._univariate_selection.chi2",
        "sklearn.feature_selection._mutual_info.mutual_info_classif",
        "sklearn.feature_selection._mutual_info.mutual_info_regression",
        *(f"sklearn.metrics._dist_metrics.{name}Distance{bits}" for name in _DISTANCES for bits in ("", "32", "64")),
    }
)

ROW_INDEPENDENT: frozenset[str] = frozenset(
    {
        "HistGradientBoostingClassifier",
        "HistGradientBoostingRegressor",
        "GradientBoostingClassifier",
        "GradientBoostingRegressor",
        "DummyClassifier",
        "DummyRegressor",
        "DecisionTreeClassifier",
        "DecisionTreeRegressor",
        "ExtraTreeClassifier",
        "ExtraTreeRegressor",
        "RandomForestClassifier",
        "RandomForestRegressor",
        "ExtraTreesClassifier",
        "ExtraTreesRegressor",
        "Pipeline",
        "SimpleImputer",
        "StandardScaler",
        "MinMaxScaler",
        "RobustScaler",
        "MaxAbsScaler",
        "OrdinalEncoder",
        "OneHotEncoder",
        "ColumnTransformer",
        "FunctionTransformer",
        "LabelEncoder",
        "_BinMapper",
    }
)
"""Estimators that compute each row from its own values alone, in one order of addition. Whatever multiplies matrices
(linear models, networks, kernels) is left out: BLAS adds in another order for another number of rows."""
