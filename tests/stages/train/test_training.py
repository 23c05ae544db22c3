import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from inseam.ir.records import ModelVersionRecord
from inseam.ir.training import Task
from inseam.kernel.errors import ConflictError, DefinitionError, UnsafeArtifactError
from inseam.ports.bundle import digest, open_bundle
from inseam.ports.training_rows import read_training_rows
from inseam.testing import learners
from inseam.testing.training_sets import FEATURES, model_spec, write_training_set


def test_a_version_holds_its_metric_with_interval_beside_the_baseline(trained, ledger, tracker):
    version = trained(model_spec(learners.boosted, slices=("last_store",)))
    auc = version.metrics["test"]["roc_auc"]
    assert auc["low"] < auc["value"] < auc["high"]
    assert version.metrics["baseline"]["roc_auc"] == pytest.approx(0.5)
    assert auc["low"] > 0.7
    assert set(version.metrics["slices"]["last_store"]) == {"north", "south", "web", "NULL"}
    assert sum(version.metrics["rows"].values()) == 800
    assert ledger.get(ModelVersionRecord, "lapse", 1) == version
    run = tracker.trainings[version.provenance["run"]]
    assert (run.model, run.version) == ("lapse", 1)
    assert run.tags["training_set_digest"] == version.training_set_digest
    north = version.metrics["slices"]["last_store"]["north"]
    assert run.metrics["slices/last_store/north/roc_auc"] == north["metrics"]["roc_auc"]["value"]
    assert run.metrics["slices/last_store/north/rows"] == north["rows"]
    figures = {f"figures/{name}.png" for name in ("roc", "calibration", "confusion", "slices_1")}
    assert figures | {"slices.csv"} <= set(tracker.files[run.id])


def test_what_serving_opens_is_what_was_evaluated(trained, tmp_path):
    record = write_training_set(tmp_path / "sets", Task.BINARY, rows=800)
    version = trained(model_spec(learners.boosted), record)
    bundle = open_bundle(tmp_path / "models" / version.path, version.digest)
    names = [field.name for field in FEATURES]
    rows = read_training_rows(record.path, "test", [*names, "label", "event_time"])
    output = bundle.predict(rows.columns)
    from sklearn.metrics import roc_auc_score

    assert roc_auc_score(rows.columns["label"], output) == pytest.approx(version.metrics["test"]["roc_auc"]["value"])
    assert bundle.manifest.classes == (False, True)


def test_one_seed_gives_one_bundle_and_another_another(trained):
    first = trained(model_spec(learners.forest, seed=1))
    again = trained(model_spec(learners.forest, seed=1))
    other = trained(model_spec(learners.forest, seed=2))
    assert (first.digest, first.version, again.version) == (again.digest, 1, 2)
    assert other.digest != first.digest


@pytest.mark.parametrize("learner", [learners.stopped_early, learners.boosted_with_categories, learners.by_columns])
def test_early_stopping_categories_and_named_columns_survive_saving(trained, learner, recwarn):
    version = trained(model_spec(learner))
    assert version.metrics["test"]["roc_auc"]["value"] > 0.75
    assert not [warning for warning in recwarn if "feature names" in str(warning.message)]


def test_classes_are_named_in_the_order_of_the_outputs(trained, tmp_path):
    version = trained(model_spec(learners.linear, Task.MULTICLASS))
    bundle = open_bundle(tmp_path / "models" / version.path, version.digest)
    assert bundle.manifest.classes == ("high", "low", "middle")
    assert version.metrics["test"]["log_loss"]["value"] < version.metrics["baseline"]["log_loss"]


def test_a_lambda_inside_a_pipeline_is_refused_by_name(trained, ledger, tracker, tmp_path):
    with pytest.raises(UnsafeArtifactError, match=r"learners.*<lambda>"):
        trained(model_spec(learners.unsafe))
    assert ledger.select(ModelVersionRecord) == [] and tracker.trainings == {}
    assert list((tmp_path / "models" / "lapse").iterdir()) == []


def test_a_learner_that_fails_is_told_with_its_line(trained):
    with pytest.raises(DefinitionError, match=r"learners\.py:\d+: ValueError: the learner fell over"):
        trained(model_spec(learners.broken))


def test_given_parameters_replace_declared_ones(trained):
    version = trained(model_spec(learners.boosted, params={"max_depth": 2, "n_estimators": 5}), params={"max_depth": 4})
    assert version.params == {"max_depth": 4, "n_estimators": 5}


def test_two_trainers_at_once_get_two_numbers(trained, ledger):
    class Raced:
        """The ledger as a trainer sees it when another one inserts between its look and its insert."""

        def __init__(self):
            self.is_first = True

        def insert(self, version):
            if self.is_first:
                self.is_first = False
                trained(model_spec(learners.boosted, seed=2))
            ledger.insert(version)

        def __getattr__(self, name):
            return getattr(ledger, name)

    late = trained(model_spec(learners.boosted, seed=1), ledger=Raced())
    assert late.version == 2
    assert [one.version for one in ledger.select(ModelVersionRecord)] == [1, 2]
    with pytest.raises(ConflictError):
        ledger.insert(late)


def test_a_damaged_bundle_is_replaced_by_training_again(trained, tmp_path):
    version = trained(model_spec(learners.boosted))
    place = tmp_path / "models" / version.path
    (place / "model.ubj").write_bytes(b"rot")
    with pytest.raises(UnsafeArtifactError):
        open_bundle(place, version.digest)
    trained(model_spec(learners.boosted))
    assert digest(place) == version.digest


_TRAIN_FOR_EVER = """
import sys
from pathlib import Path
from inseam.adapters.sql.ledger import SqlLedger
from inseam.ports.artifacts import Artifacts
from inseam.stages.train.training import train
from inseam.testing import learners
from inseam.testing.training_sets import KEYS, VIEWS, model_spec, write_training_set
from inseam.ir.training import Task

place = Path(sys.argv[1])
record = write_training_set(place / "sets", Task.BINARY, rows=800)
ledger = SqlLedger(f"sqlite:///{place}/ledger.db")
seed = 0
while True:
    seed += 1
    spec = model_spec(learners.boosted, seed=seed, params={"subsample": 0.8})
    done = train(spec, record, keys=KEYS, views=VIEWS, inputs=(), ledger=ledger,
                 models=Artifacts(place / "models"), repository=None, run=str(seed))
    print(done.version, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.0, 0.35, 0.8])
def test_a_killed_trainer_leaves_only_whole_versions(tmp_path, ledger, delay):
    killed = subprocess.Popen([sys.executable, "-c", _TRAIN_FOR_EVER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    acknowledged = int(killed.stdout.readline())
    time.sleep(delay)
    os.kill(killed.pid, signal.SIGKILL)
    acknowledged = max([acknowledged, *map(int, killed.communicate()[0].split())])
    versions = ledger.select(ModelVersionRecord, model="lapse")
    assert [one.version for one in versions] == list(range(1, len(versions) + 1))
    assert len(versions) >= acknowledged
    for one in versions:
        row = np.zeros((1, len(FEATURES)))
        assert open_bundle(tmp_path / "models" / one.path, one.digest).predictor.predict(row).shape == (1,)
