import json

import numpy as np
import pytest
import torch

from inseam.adapters.torch.format import TorchFormat
from inseam.ir.training import Task
from inseam.kernel.errors import UnsafeArtifactError

EXAMPLE = np.random.default_rng(0).normal(size=(20, 5))


class Own(torch.nn.Module):
    """A module of the user's own: embedding, residual, choice by value, tied weights."""

    def __init__(self):
        super().__init__()
        self.codes = torch.nn.Embedding(4, 3)
        self.mix = torch.nn.Linear(7, 7)
        self.norm = torch.nn.LayerNorm(7)
        self.out = torch.nn.Linear(7, 3)

    def forward(self, rows):
        code = rows[:, 3].long().clamp(0, 3)
        inner = torch.cat([rows[:, [0, 1, 2, 4]], self.codes(code)], 1)
        inner = inner + torch.nn.functional.gelu(self.norm(self.mix(inner)))
        return torch.where(rows[:, :1] > 0, self.out(inner), -self.out(self.mix(inner)))


class Attends(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.up = torch.nn.Linear(1, 8)
        self.layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.out = torch.nn.Linear(8, 3)

    def forward(self, rows):
        return self.out(self.layer(self.up(rows[:, :, None])).mean(1))


class Branches(torch.nn.Module):
    def forward(self, rows):
        return rows.sum(1) if rows.sum() > 0 else -rows.sum(1)


class Samples(torch.nn.Module):
    def forward(self, rows):
        return torch.bernoulli(torch.sigmoid(rows[:, 0]))


@pytest.mark.parametrize("module", [Own, Attends], ids=lambda module: module.__name__)
def test_modules_of_the_users_own_come_back_without_their_code(module, tmp_path):
    torch.manual_seed(0)
    model = module().eval()
    TorchFormat().save(model, tmp_path, example=EXAMPLE)
    found = TorchFormat().load(tmp_path, Task.MULTICLASS).predict(EXAMPLE)
    with torch.inference_mode():
        theirs = torch.softmax(model(torch.from_numpy(EXAMPLE.astype(np.float32))).double(), 1).numpy()
    np.testing.assert_allclose(found, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("module", [Branches, Samples], ids=lambda module: module.__name__)
def test_what_is_no_plain_computation_is_refused(module, tmp_path):
    with pytest.raises(UnsafeArtifactError):
        TorchFormat().save(module(), tmp_path, example=EXAMPLE)


@pytest.mark.parametrize("name", ["load.default", "__import__", "from_file.default", "getattr"])
def test_an_operator_off_the_list_is_not_run(name, tmp_path):
    TorchFormat().save(torch.nn.Linear(5, 1), tmp_path, example=EXAMPLE)
    graph = json.loads((tmp_path / "network.json").read_text())
    graph["steps"][0]["op"] = name
    (tmp_path / "network.json").write_text(json.dumps(graph))
    with pytest.raises(UnsafeArtifactError, match="not on the loader's list"):
        TorchFormat().load(tmp_path, Task.REGRESSION)


def test_missing_values_are_zero(tmp_path):
    TorchFormat().save(torch.nn.Linear(5, 1), tmp_path, example=EXAMPLE)
    predictor = TorchFormat().load(tmp_path, Task.REGRESSION)
    np.testing.assert_array_equal(predictor.predict(np.full((1, 5), np.nan)), predictor.predict(np.zeros((1, 5))))


def test_training_mode_is_left_as_it_was(tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(5, 2), torch.nn.Dropout(0.5)).train()
    TorchFormat().save(model, tmp_path, example=EXAMPLE)
    assert model.training
