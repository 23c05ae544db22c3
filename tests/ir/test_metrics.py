"""Our weighted formulas against scikit-learn's and scipy's, which share no code with them."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn import metrics as sk

from inseam.ir.metrics import METRICS, metric, metrics_of
from inseam.ir.training import Task
from inseam.kernel.errors import DefinitionError

ROWS = 400


def _binary(seed):
    random = np.random.default_rng(seed)
    # Rounded, so that ties and the ends 0 and 1 occur.
    score = np.round(random.beta(1, 2, ROWS), 2)
    return (random.random(ROWS) < score).astype(np.int64), score


def _multiclass(seed):
    random = np.random.default_rng(seed)
    shares = random.dirichlet([1, 2, 0.5], ROWS)
    return np.array([random.choice(3, p=row) for row in shares]), shares


def _regression(seed):
    random = np.random.default_rng(seed)
    truth = np.round(random.gamma(2, 3, ROWS), 1) + 0.1
    return truth, np.round(truth + random.normal(0, 2, ROWS), 1)


def _said(score):
    return (score >= 0.5).astype(int)


THEIRS = {
    (Task.BINARY, "roc_auc"): sk.roc_auc_score,
    (Task.BINARY, "pr_auc"): sk.average_precision_score,
    (Task.BINARY, "log_loss"): lambda y, p, **w: sk.log_loss(y, np.clip(p, 2.3e-16, 1 - 2.3e-16), **w),
    (Task.BINARY, "brier"): sk.brier_score_loss,
    (Task.BINARY, "accuracy"): lambda y, p, **w: sk.accuracy_score(y, _said(p), **w),
    (Task.BINARY, "f1"): lambda y, p, **w: sk.f1_score(y, _said(p), **w),
    (Task.BINARY, "precision"): lambda y, p, **w: sk.precision_score(y, _said(p), **w),
    (Task.BINARY, "recall"): lambda y, p, **w: sk.recall_score(y, _said(p), **w),
    (Task.MULTICLASS, "log_loss"): lambda y, p, **w: sk.log_loss(y, p, labels=[0, 1, 2], **w),
    (Task.MULTICLASS, "accuracy"): lambda y, p, **w: sk.accuracy_score(y, p.argmax(1), **w),
    (Task.MULTICLASS, "macro_f1"): lambda y, p, **w: sk.f1_score(y, p.argmax(1), average="macro", **w),
    (Task.MULTICLASS, "roc_auc"): lambda y, p, **w: sk.roc_auc_score(y, p, multi_class="ovr", **w),
    (Task.REGRESSION, "rmse"): sk.root_mean_squared_error,
    (Task.REGRESSION, "mae"): sk.mean_absolute_error,
    (Task.REGRESSION, "r2"): sk.r2_score,
    (Task.REGRESSION, "mape"): sk.mean_absolute_percentage_error,
    (Task.REGRESSION, "median_ae"): lambda y, p: sk.median_absolute_error(y, p),
    (Task.REGRESSION, "spearman"): lambda y, p: spearmanr(y, p).statistic,
}
DRAWN = {Task.BINARY: _binary, Task.MULTICLASS: _multiclass, Task.REGRESSION: _regression}
CASES = [pytest.param(*key, seed, id=f"{key[0]}-{key[1]}-{seed}") for key in THEIRS for seed in (0, 1)]


@pytest.mark.parametrize(("task", "name", "seed"), CASES)
def test_the_plain_value_is_the_librarys(task, name, seed):
    truth, output = DRAWN[task](seed)
    assert metric(task, name).value(truth, output) == pytest.approx(THEIRS[task, name](truth, output), rel=1e-9)


@pytest.mark.parametrize(("task", "name", "seed"), CASES)
def test_a_weight_counts_a_row_so_many_times(task, name, seed):
    truth, output = DRAWN[task](seed)
    counts = np.random.default_rng(seed).multinomial(ROWS, np.full(ROWS, 1 / ROWS), 3)
    found = metric(task, name).on(truth, output)(counts.astype(float))
    for row, count in enumerate(counts):
        again = THEIRS[task, name](np.repeat(truth, count), np.repeat(output, count, axis=0))
        assert found[row] == pytest.approx(again, rel=1e-9)


def test_calibration_error_by_hand():
    truth, score = np.array([1, 0, 1, 1]), np.array([0.9, 0.92, 0.1, 0.11])
    # Two bins of two rows: stated 0.91 against 0.5 seen, stated 0.105 against 1 seen.
    assert metric(Task.BINARY, "ece").value(truth, score) == pytest.approx((0.41 * 2 + 0.895 * 2) / 4)


def test_calibration_error_of_classes_looks_at_the_predicted_one():
    output = np.array([[0.9, 0.1], [0.9, 0.1]])
    assert metric(Task.MULTICLASS, "ece").value(np.array([0, 1]), output) == pytest.approx(0.4)


def test_one_class_alone_leaves_auc_undefined():
    assert np.isnan(metric(Task.BINARY, "roc_auc").value(np.ones(3, int), np.array([0.1, 0.2, 0.3])))


def test_no_rows_leave_every_metric_undefined():
    for one in metrics_of(Task.REGRESSION):
        assert np.isnan(one.value(np.empty(0), np.empty(0)))


def test_a_misspelt_metric_gets_the_nearest_name():
    with pytest.raises(DefinitionError, match="did you mean 'roc_auc'"):
        metric(Task.BINARY, "roc_acu")


def test_every_metric_has_its_formula():
    from inseam.ir import metric_formulas

    assert all(hasattr(metric_formulas, one.formula) for one in METRICS.values())
