import numpy as np
import pytest

from inseam.ir import resampling
from inseam.ir.metrics import metric, metrics_of
from inseam.ir.resampling import bootstrap, estimates, group_codes, resamples
from inseam.ir.training import Task


def _mean(values):
    return {"mean": lambda weights: (weights @ values) / weights.sum(1)}


def test_each_resample_draws_as_many_rows_as_there_are():
    blocks = np.concatenate(list(resamples(50, 20, seed=1)))
    assert blocks.shape == (20, 50)
    np.testing.assert_array_equal(blocks.sum(1), 50)


def test_the_seed_decides(monkeypatch):
    whole = np.concatenate(list(resamples(100, 30, seed=5)))
    monkeypatch.setattr(resampling, "CELLS", 700)
    in_blocks = np.concatenate(list(resamples(100, 30, seed=5)))
    np.testing.assert_array_equal(whole, in_blocks)
    assert not np.array_equal(whole, np.concatenate(list(resamples(100, 30, seed=6))))


def test_blocks_stay_within_the_bound():
    assert max(block.size for block in resamples(100_000, 50, seed=0)) <= resampling.CELLS


def test_a_group_is_drawn_whole():
    groups = np.array([0, 0, 1, 1, 1, 2])
    for block in resamples(6, 40, seed=2, groups=groups):
        for group in range(3):
            assert (np.ptp(block[:, groups == group], axis=1) == 0).all()


def test_the_interval_is_about_two_standard_errors():
    values = np.random.default_rng(0).normal(0, 1, 4_000)
    found = estimates(_mean(values), 4_000, count=2_000, seed=0)["mean"]
    assert found.value == pytest.approx(values.mean())
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * values.std() / np.sqrt(4_000), rel=0.08)


def test_rows_of_one_entity_are_no_independent_evidence():
    entities = np.repeat(np.arange(100), 20)
    values = np.random.default_rng(0).normal(0, 1, 100)[entities]
    apart = estimates(_mean(values), 2_000, seed=0)["mean"]
    whole = estimates(_mean(values), 2_000, seed=0, groups=entities)["mean"]
    assert whole.high - whole.low > 3 * (apart.high - apart.low)


def test_an_interval_holds_its_value_even_where_resamples_are_biased():
    random = np.random.default_rng(0)
    score = random.random(300)
    truth = (random.random(300) < score).astype(int)
    found = estimates({"ece": metric(Task.BINARY, "ece").on(truth, score)}, 300, seed=0)["ece"]
    assert found.low < found.value < found.high


def test_what_is_undefined_is_none_and_never_zero():
    truth = np.ones(20, int)
    found = estimates({"auc": metric(Task.BINARY, "roc_auc").on(truth, np.linspace(0, 1, 20))}, 20)["auc"]
    assert found.as_dict() == {"value": None, "low": None, "high": None}


def test_measures_see_the_same_resamples():
    values = np.random.default_rng(0).normal(0, 1, 200)
    found = bootstrap({**_mean(values), "shifted": _mean(values + 1)["mean"]}, 200, count=50)
    np.testing.assert_allclose(found["shifted"] - found["mean"], 1.0)


def test_codes_are_equal_where_all_columns_are():
    codes = group_codes(np.array([1, 1, 2, 2]), np.array(["a", None, "a", "a"], dtype=object))
    assert codes[2] == codes[3] and len(set(codes.tolist())) == 3


@pytest.mark.parametrize("task", list(Task))
@pytest.mark.parametrize("rows", [3, 12, 200])
def test_no_interval_leaves_the_range_of_its_metric(task, rows):
    """Nearly perfect and nearly useless outputs, of few rows: where an interval would reach furthest."""
    for seed in range(6):
        random = np.random.default_rng(seed)
        truth = random.normal(0, 1, rows) if task is Task.REGRESSION else random.integers(0, 2, rows)
        if task is Task.REGRESSION:
            output = truth + random.normal(0, [0.01, 1][seed % 2], rows)
        else:
            share = np.clip(0.5 + [0.49, 0.01][seed % 2] * np.where(truth == 1, 1, -1), 0, 1)
            output = share if task is Task.BINARY else np.stack([1 - share, share], axis=1)
        kinds = metrics_of(task)
        measures = {one.name: one.on(truth, output) for one in kinds}
        ranges = {one.name: (one.low, one.high) for one in kinds}
        for one in kinds:
            found = estimates(measures, rows, seed=seed, ranges=ranges)[one.name]
            ends = [end for end in (found.low, found.high) if not np.isnan(end)]
            assert all(one.low <= end <= one.high for end in ends), one.name
            if not np.isnan(found.value):
                assert one.low <= found.value <= one.high, one.name
            if ends and not np.isnan(found.value):
                assert found.low <= found.value <= found.high, one.name
