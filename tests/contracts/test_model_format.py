"""The model format contract on every format that we ship."""

from dataclasses import replace

import numpy as np

from inseam.adapters.lightgbm.format import LightgbmFormat
from inseam.adapters.sklearn.format import SklearnFormat
from inseam.adapters.torch.format import TorchFormat
from inseam.adapters.xgboost.format import XgboostFormat
from inseam.ir.training import Task
from inseam.stages.train.fit import fit
from inseam.testing import learners
from inseam.testing.contracts.model_format import ModelFormatContract


class _Learns(ModelFormatContract):
    format = None
    learner = None
    params = {}

    def make(self):
        return self.format()

    def fitted(self, data, task, seed):
        return fit("model:m", type(self).__dict__["learner"], replace(data, seed=seed), self.params)

    def expected(self, model, data, task):
        if task is Task.REGRESSION:
            return model.predict(data.X)
        shares = model.predict_proba(data.X)
        return shares if task is Task.MULTICLASS else shares[:, 1]


class TestXgboost(_Learns):
    format, learner, tolerance = XgboostFormat, learners.boosted, 1e-5


class TestLightgbm(_Learns):
    format, learner = LightgbmFormat, learners.light


class TestSklearnTrees(_Learns):
    format, learner = SklearnFormat, learners.histogram


class TestSklearnPipeline(_Learns):
    format, learner, tolerance = SklearnFormat, learners.linear, 1e-12


class TestTorch(_Learns):
    format, learner, tolerance = TorchFormat, learners.network, 1e-5
    params = {"epochs": 3}

    def expected(self, model, data, task):
        import torch

        with torch.inference_mode():
            said = model(torch.from_numpy(data.X_filled)).double()
        if task is Task.MULTICLASS:
            return torch.softmax(said, dim=1).numpy()
        return (torch.sigmoid(said) if task is Task.BINARY else said)[:, 0].numpy()


def test_the_formats_share_no_model():
    formats = (XgboostFormat(), LightgbmFormat(), SklearnFormat(), TorchFormat())
    import lightgbm
    import sklearn.linear_model
    import torch
    import xgboost

    models = (
        xgboost.XGBRegressor(),
        lightgbm.LGBMRegressor(),
        sklearn.linear_model.Ridge(),
        torch.nn.Linear(1, 1),
    )
    accepted = np.array([[one.accepts(model) for model in models] for one in formats])
    np.testing.assert_array_equal(accepted, np.eye(4, dtype=bool))
