"""Training functions as a user would write them, one or more a framework: for tests and for trying things out."""

from __future__ import annotations

from typing import Any


def boosted(data: Any, params: dict[str, Any]) -> Any:
    """XGBoost; a classifier or a regressor as the task asks."""
    from xgboost import XGBClassifier, XGBRegressor

    kind = XGBRegressor if data.task == "regression" else XGBClassifier
    return kind(**{"n_estimators": 20, "max_depth": 3} | params).fit(data.X, data.y)


def boosted_with_categories(data: Any, params: dict[str, Any]) -> Any:
    """XGBoost with splits by category."""
    import pandas as pd
    from xgboost import XGBClassifier

    frame: pd.DataFrame = data.X
    model = XGBClassifier(
        **{"n_estimators": 20, "feature_types": data.feature_types, "enable_categorical": True} | params
    )
    return model.fit(frame, data.y)


def stopped_early(data: Any, params: dict[str, Any]) -> Any:
    """XGBoost that watches the newest fifth of the rows and keeps the best round."""
    from xgboost import XGBClassifier

    cut = int(len(data) * 0.8)
    model = XGBClassifier(**{"n_estimators": 300, "early_stopping_rounds": 5, "learning_rate": 0.5} | params)
    return model.fit(data.X[:cut], data.y[:cut], eval_set=[(data.X[cut:], data.y[cut:])], verbose=False)


def light(data: Any, params: dict[str, Any]) -> Any:
    """LightGBM, told to be repeatable."""
    from lightgbm import LGBMClassifier, LGBMRegressor

    kind = LGBMRegressor if data.task == "regression" else LGBMClassifier
    repeatable = {"n_estimators": 20, "verbose": -1, "deterministic": True, "force_row_wise": True}
    return kind(**repeatable | params).fit(data.X, data.y, categorical_feature=data.categorical)


def linear(data: Any, params: dict[str, Any]) -> Any:
    """A scikit-learn pipeline: impute, scale, fit a line."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    last = Ridge(**params) if data.task == "regression" else LogisticRegression(**params)
    return make_pipeline(SimpleImputer(), StandardScaler(), last).fit(data.X, data.y)


def histogram(data: Any, params: dict[str, Any]) -> Any:
    """scikit-learn's boosted trees on histograms."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingRegressor if data.task == "regression" else HistGradientBoostingClassifier
    return kind(**{"max_iter": 20, "early_stopping": True} | params).fit(data.X, data.y)


def forest(data: Any, params: dict[str, Any]) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(**{"n_estimators": 10, "n_jobs": 2} | params).fit(data.X.fillna(0.0), data.y)


def by_columns(data: Any, params: dict[str, Any]) -> Any:
    """A scikit-learn pipeline that picks its columns by name."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    numbers = [name for name in data.X.columns if name not in data.categorical]
    codes = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    columns = ColumnTransformer([("codes", codes, data.categorical), ("numbers", SimpleImputer(), numbers)])
    return make_pipeline(columns, LogisticRegression(max_iter=500, **params)).fit(data.X, data.y)


def network(data: Any, params: dict[str, Any]) -> Any:
    """A small PyTorch network that learns each column's scale first."""
    import torch

    torch.manual_seed(params["seed"])
    outputs = len(data.classes) if data.task == "multiclass" else 1
    width = data.X_filled.shape[1]
    layers = torch.nn.Sequential(
        torch.nn.BatchNorm1d(width), torch.nn.Linear(width, 16), torch.nn.ReLU(), torch.nn.Linear(16, outputs)
    )
    x, y = torch.from_numpy(data.X_filled), torch.from_numpy(data.y)
    step = torch.optim.Adam(layers.parameters(), lr=0.01)
    for _ in range(int(params.get("epochs", 60))):
        step.zero_grad()
        said = layers(x)
        if data.task == "multiclass":
            loss = torch.nn.functional.cross_entropy(said, y)
        elif data.task == "binary":
            loss = torch.nn.functional.binary_cross_entropy_with_logits(said[:, 0], y.float())
        else:
            loss = torch.nn.functional.mse_loss(said[:, 0], y.float())
        loss.backward()
        step.step()
    return layers.eval()


def unsafe(data: Any, params: dict[str, Any]) -> Any:
    """A pipeline with a lambda inside, which no loader may run."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    clean = FunctionTransformer(lambda frame: frame.fillna(0.0))
    return make_pipeline(clean, LogisticRegression(**params)).fit(data.X, data.y)


def broken(data: Any, params: dict[str, Any]) -> Any:
    raise ValueError("the learner fell over")
