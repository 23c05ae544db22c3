"""Searches parameters with Optuna on expanding folds of the train part; a killed study goes on where it was."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inseam.ir.metrics import metric
from inseam.ir.records import TrainingSetRecord
from inseam.ir.training import ModelSpec, TuneSpec
from inseam.kernel.errors import DefinitionError, ExtraMissingError
from inseam.ports.ledger import Ledger
from inseam.ports.progress import Progress
from inseam.stages.train.data import TrainingData
from inseam.stages.train.fit import TrainingFunction, fit
from inseam.stages.train.folds import Fold, expanding_folds
from inseam.stages.train.saving import ask, save_and_load

if TYPE_CHECKING:
    import optuna

STUDIES = "optuna.db"
"""The SQLite file with every study, beside the directory of bundles."""


@dataclass(frozen=True)
class Search:
    """``params`` are the best found; ``summary`` is JSON data: ``{study, trials, pruned, value, params}``."""

    params: dict[str, Any]
    summary: dict[str, Any]


def tune(
    spec: ModelSpec,
    record: TrainingSetRecord,
    function: TrainingFunction,
    data: TrainingData,
    *,
    ledger: Ledger,
    models: Path,
    progress: Progress,
) -> Search:
    """The parameters that gave the best mean of the model's metric over the folds.

    A study is named after the meaning of the model and the content of the training set, so only a run of the very same
    search resumes it. It is leased while it runs: two processes don't search the same thing at once.
    """
    ahead = spec.training_set.label.ahead
    folds = expanding_folds(f"model:{spec.name}", data.event_time, data.y, data.task, ahead)
    name = f"{spec.name}:{spec.fingerprint[:16]}:{record.digest[:16]}"
    with ledger.lease(f"tune {name}"):
        study = _open_study(name, spec, models.parent / STUDIES)
        if spec.tune is not None:
            _search(study, spec, spec.tune, function, data, folds, progress)
    done = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    if not done:
        raise DefinitionError(
            f"model:{spec.name}", "no trial of the search gave a metric", mend="check the search space; try one by hand"
        )
    pruned = sum(trial.state.name == "PRUNED" for trial in study.trials)
    best = dict(study.best_params)
    summary = {"study": name, "trials": len(done), "pruned": pruned, "value": study.best_value, "params": best}
    return Search(best, summary)


def suggest(trial: optuna.trial.BaseTrial, space: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """One point of the search space; `DefinitionError` for a kind that is none."""
    chosen: dict[str, Any] = {}
    for name, (kind, *options) in space.items():
        if kind == "choice":
            chosen[name] = trial.suggest_categorical(name, options)
        elif kind in ("float", "int") and len(options) == 3:
            low, high, is_log = options
            ask = trial.suggest_float if kind == "float" else trial.suggest_int
            chosen[name] = ask(name, low, high, log=bool(is_log))
        else:
            raise DefinitionError(
                f"tune:{name}",
                f"{(kind, *options)!r} is no search space",
                expected='("float" or "int", low, high, is_log) or ("choice", value, ...)',
            )
    return chosen


def _open_study(name: str, spec: ModelSpec, file: Path) -> optuna.Study:
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise ExtraMissingError.for_library("optuna", "ml") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    file.parent.mkdir(parents=True, exist_ok=True)
    is_greater_better = metric(spec.task, spec.metric).greater_is_better
    study = optuna.create_study(
        study_name=name,
        storage=f"sqlite:///{file}",
        load_if_exists=True,
        direction="maximize" if is_greater_better else "minimize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5),
    )
    for trial in study.trials:
        # We hold the lease, so a running trial is one whose process was killed: its point is tried again first.
        if trial.state is optuna.trial.TrialState.RUNNING:
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            if trial.params:
                study.enqueue_trial(trial.params)
    finished = sum(trial.state.is_finished() for trial in study.trials)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # A sampler's state dies with its process: another seed goes on instead of repeating the first points.
        study.sampler = optuna.samplers.TPESampler(seed=spec.seed + finished)
    return study


def _search(
    study: optuna.Study,
    spec: ModelSpec,
    wanted: TuneSpec,
    function: TrainingFunction,
    data: TrainingData,
    folds: Sequence[Fold],
    progress: Progress,
) -> None:
    import optuna

    def objective(trial: optuna.Trial) -> float:
        params = {**spec.params, **suggest(trial, wanted.space)}
        scores: list[float] = []
        for step, fold in enumerate(folds):
            scores.append(_score(spec, function, data, fold, params))
            mean = sum(scores) / len(scores)
            trial.report(mean, step)
            if step + 1 < len(folds) and trial.should_prune():
                raise optuna.TrialPruned
        return mean

    def tell(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        progress("train: tune", _counted(study), wanted.trials)

    left = wanted.trials - _counted(study)
    if left > 0:
        study.optimize(objective, n_trials=left, timeout=wanted.timeout_seconds, callbacks=[tell])


def _counted(study: optuna.Study) -> int:
    """Trials that count towards the wanted number: not those that a kill cut short."""
    return sum(trial.state.name in ("COMPLETE", "PRUNED") for trial in study.trials)


def _score(
    spec: ModelSpec, function: TrainingFunction, data: TrainingData, fold: Fold, params: dict[str, Any]
) -> float:
    """The declared metric of one fold, asked of the saved model as serving would ask it."""
    subject = f"model:{spec.name}"
    model = fit(subject, function, data.take(fold.fitted_on), params)
    judged = data.take(fold.judged_on)
    matrix = judged.X.to_numpy()
    with tempfile.TemporaryDirectory() as place:
        _, predictor = save_and_load(subject, model, Path(place), spec.task, matrix)
        output = ask(subject, predictor, matrix, spec.task, len(data.classes))
    return metric(spec.task, spec.metric).value(judged.y, output)
