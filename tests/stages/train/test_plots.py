"""Figures are drawn for whatever an evaluation may hold, without a word on the way."""

import numpy as np
import pytest

from inseam.ir.training import Task
from inseam.stages.train.figures import draw, draw_slices

RANDOM = np.random.default_rng(0)
SHARE = RANDOM.random(300)
MANY = RANDOM.dirichlet(np.ones(60), 300)
VALUES = RANDOM.normal(50, 20, 300)

CASES = {
    "two rows": (Task.BINARY, np.array([0, 1]), np.array([0.3, 0.6]), (False, True)),
    "one class": (Task.BINARY, np.zeros(50, int), SHARE[:50], ("a" * 200, "$x_1$ größe 漢字")),
    "one statement": (Task.BINARY, (SHARE > 0.5).astype(int), np.full(300, 0.2), (0, 1)),
    "60 classes": (Task.MULTICLASS, RANDOM.integers(0, 60, 300), MANY, tuple(f"class {n}" for n in range(60))),
    "two rows of three classes": (Task.MULTICLASS, np.array([0, 2]), MANY[:2, :3], ("x", "y", "")),
    "huge residuals": (Task.REGRESSION, np.where(np.arange(300) % 50, VALUES, VALUES * 1e9), VALUES, ()),
    "no residuals": (Task.REGRESSION, VALUES, VALUES.copy(), ()),
    "one value": (Task.REGRESSION, np.array([7.0]), np.array([7.0]), ()),
}


@pytest.mark.parametrize("case", CASES)
def test_every_figure_of_the_task_is_drawn_in_silence(case, tmp_path, recwarn, capfd):
    task, truth, output, classes = CASES[case]
    draw(tmp_path, task, truth, output, classes=classes, importances={"a" * 90: 0.0, "b": 0.0})
    expected = {"residuals", "predicted_and_true"} if task is Task.REGRESSION else {"roc", "precision_recall"}
    expected |= {"feature_importance"} | (set() if task is Task.REGRESSION else {"calibration", "confusion"})
    assert {path.stem for path in tmp_path.iterdir()} == expected
    assert all(path.stat().st_size > 2_000 for path in tmp_path.iterdir())
    assert not list(recwarn)
    assert capfd.readouterr() == ("", "")


def test_slices_are_drawn_where_the_metric_is_undefined_too(tmp_path):
    found = {"value": 0.7, "low": 0.6, "high": 0.8}
    none = {"value": None, "low": None, "high": None}
    parts = {
        "north": {"rows": 40, "metrics": {"roc_auc": found}},
        "": {"rows": 3, "metrics": {"roc_auc": none}},
        "$": {"rows": 2, "metrics": {}},
    }
    draw_slices(tmp_path, "roc_auc", found, {"store": parts, "empty": {}, "region": parts})
    assert {path.name for path in tmp_path.iterdir()} == {"slices_1.png", "slices_3.png"}
