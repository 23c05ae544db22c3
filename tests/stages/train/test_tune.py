import numpy as np
import pytest

from inseam.ir.training import Task, TuneSpec
from inseam.kernel.errors import DataError, DefinitionError
from inseam.stages.train.folds import expanding_folds
from inseam.stages.train.tune import suggest
from inseam.testing import learners
from inseam.testing.training_sets import model_spec

DAY = 86_400_000_000
SPACE = {
    "max_depth": ("int", 1, 4, False),
    "learning_rate": ("float", 0.01, 0.5, True),
    "tree_method": ("choice", "hist", "exact"),
}


def _study(path):
    import optuna

    (summary,) = optuna.get_all_study_summaries(f"sqlite:///{path}/optuna.db")
    return optuna.load_study(study_name=summary.study_name, storage=f"sqlite:///{path}/optuna.db")


def test_the_best_parameters_are_fitted_and_told(trained, tmp_path):
    version = trained(model_spec(learners.boosted, tune=TuneSpec(SPACE, trials=3), params={"n_estimators": 5}))
    study = _study(tmp_path)
    assert version.params == {"n_estimators": 5} | study.best_params
    assert version.provenance["tune"]["trials"] + version.provenance["tune"]["pruned"] == 3
    assert set(study.trials[0].intermediate_values) == {0, 1, 2}


def test_a_killed_search_goes_on_where_it_was(trained, tmp_path):
    import optuna

    class Killed(BaseException):
        pass

    def kill_after_two(what, done, total=None):
        if what == "train: tune" and done == 2:
            raise Killed

    spec = model_spec(learners.boosted, tune=TuneSpec(SPACE, trials=4), params={"n_estimators": 5})
    with pytest.raises(Killed):
        trained(spec, progress=kill_after_two)
    left = _study(tmp_path).ask()
    left.suggest_int("max_depth", 1, 4)
    trained(spec)
    study = _study(tmp_path)
    states = [trial.state for trial in study.trials]
    assert states[left.number] is optuna.trial.TrialState.FAIL
    assert len([state for state in states if state.name in ("COMPLETE", "PRUNED")]) == 4
    points = [tuple(sorted(trial.params.items())) for trial in study.trials if len(trial.params) == 3]
    assert len(set(points)) == 4


def test_given_parameters_switch_tuning_off(trained, tmp_path):
    trained(model_spec(learners.boosted, tune=TuneSpec(SPACE, trials=2)), params={"max_depth": 2})
    assert not (tmp_path / "optuna.db").exists()


def test_folds_lie_in_time_order_and_purge_the_labels_horizon():
    days = np.arange(100)
    event_time = (days * DAY).astype("datetime64[us]")
    folds = expanding_folds("model:m", event_time, days % 2, Task.BINARY, 10 * DAY)
    assert len(folds) == 3
    for fold in folds:
        assert days[fold.fitted_on].max() + 10 <= days[fold.judged_on].min()
    assert np.concatenate([fold.judged_on for fold in folds]).tolist() == list(range(40, 100))


def test_too_short_a_history_is_refused():
    event_time = np.zeros(50, "datetime64[us]")
    with pytest.raises(DataError, match="too short"):
        expanding_folds("model:m", event_time, np.arange(50) % 2, Task.BINARY, 0)


def test_a_search_space_that_is_none_is_refused():
    with pytest.raises(DefinitionError, match="no search space"):
        suggest(None, {"depth": ("integer", 1, 2)})
