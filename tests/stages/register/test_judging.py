from dataclasses import replace

import pytest

from inseam.ir.records import ModelVersionRecord, VerdictRecord
from inseam.ir.training import GateSpec, Task
from inseam.kernel.errors import DefinitionError, UnsafeArtifactError
from inseam.ports.artifacts import Artifacts
from inseam.stages.register.judging import judge
from inseam.stages.register.promotion import promote
from inseam.testing import learners
from inseam.testing.training_sets import FEATURES, model_spec, write_training_set


@pytest.fixture
def judged(trained, ledger, tmp_path):
    """Train with these gates on a set, judge, and make it champion when it passes."""

    def run(learner, *gates, task=Task.BINARY, record=None, seed=7, **more):
        record = record or write_training_set(tmp_path / "sets", task, rows=800)
        spec = model_spec(learner, task, gates=gates, seed=seed, **more)
        version = trained(spec, record)
        verdict = judge(spec, version, record, ledger=ledger, models=Artifacts(tmp_path / "models"))
        if verdict.is_passed:
            promote("lapse", version.version, ledger=ledger)
        return verdict

    return run


def test_bounds_on_a_metric_pass_and_fail_with_their_evidence(judged, ledger):
    verdict = judged(
        learners.boosted,
        GateSpec("at_least", {"metric": "roc_auc", "value": 0.7}),
        GateSpec("at_least", {"metric": "roc_auc", "value": 0.999}),
        GateSpec("at_most", {"metric": "log_loss", "value": 5.0}),
    )
    assert [gate["passed"] for gate in verdict.gates.values()] == [True, False, True]
    assert list(verdict.gates) == ["at_least roc_auc", "at_least roc_auc #2", "at_most log_loss"]
    first = verdict.gates["at_least roc_auc"]
    assert first["evidence"]["low"] < first["evidence"]["value"] < first["evidence"]["high"]
    assert not verdict.is_passed
    assert ledger.select(VerdictRecord, model="lapse", version=1) == [verdict]


def test_the_first_version_has_nobody_to_beat(judged):
    gate = judged(learners.boosted, GateSpec("beats_champion", {"metric": None})).gates["beats_champion"]
    assert gate["passed"] and gate["found"] == "no champion yet" and gate["evidence"] == {"champion": None}


def test_a_better_one_beats_the_champion_and_a_worse_one_does_not(judged):
    weak, strong = {"n_estimators": 1, "max_depth": 1}, {"n_estimators": 40}
    gate = GateSpec("beats_champion", {"metric": None, "confidence": 0.95, "margin": 0.0})
    assert judged(learners.boosted, gate, params=weak).is_passed
    better = judged(learners.boosted, gate, params=strong)
    assert better.is_passed and better.gates["beats_champion"]["evidence"]["gain_low"] > 0
    worse = judged(learners.boosted, gate, params=weak)
    assert not worse.is_passed and "of version 2" in worse.gates["beats_champion"]["found"]
    assert worse.gates["beats_champion"]["evidence"]["champion"] == 2


def test_the_same_model_again_does_not_beat_itself(judged):
    gate = GateSpec("beats_champion", {})
    judged(learners.boosted, gate)
    assert judged(learners.boosted, gate).gates["beats_champion"]["evidence"]["share_of_resamples"] == 0.0


def test_a_lower_loss_is_the_better_one(judged):
    gate = GateSpec("beats_champion", {"metric": "rmse"})
    judged(learners.boosted, gate, task=Task.REGRESSION, params={"n_estimators": 1})
    assert judged(learners.boosted, gate, task=Task.REGRESSION, params={"n_estimators": 40}).is_passed


def test_a_champion_that_needs_a_lost_column_is_named(judged, trained, ledger, tmp_path):
    judged(learners.boosted, GateSpec("beats_champion", {}))
    import pyarrow.parquet as pq

    record = write_training_set(tmp_path / "sets", Task.BINARY, rows=800, seed=5)
    pq.write_table(pq.read_table(record.path).drop_columns(["spend_365d"]), record.path)
    spec = model_spec(learners.boosted, gates=(GateSpec("beats_champion", {}),))
    fewer = tuple(field for field in FEATURES if field.name != "spend_365d")
    spec = replace(spec, training_set=replace(spec.training_set, features=fewer))
    verdict = judge(spec, trained(spec, record), record, ledger=ledger, models=Artifacts(tmp_path / "models"))
    assert "no longer has spend_365d" in verdict.gates["beats_champion"]["found"] and not verdict.is_passed


def test_gap_size_calibration_and_latency_are_measured(judged):
    verdict = judged(
        learners.boosted,
        GateSpec("slice_gap", {"column": "last_store", "at_most": 1.0}),
        GateSpec("slice_gap", {"column": "last_store", "metric": "roc_auc", "at_most": 0.0}),
        GateSpec("slice_gap", {"column": "nowhere", "at_most": 1.0}),
        GateSpec("size", {"at_most_mb": 10}),
        GateSpec("size", {"at_most_mb": 0.0001}),
        GateSpec("calibration", {"at_most": 0.5}),
        GateSpec("calibration", {"at_most": 0.0}),
        GateSpec("latency", {"at_most_ms": 10_000}),
        GateSpec("latency", {"at_most_ms": 0.0}),
    )
    passed = [gate["passed"] for gate in verdict.gates.values()]
    assert passed == [True, False, False, True, False, True, False, True, False]
    assert set(verdict.gates["slice_gap last_store"]["evidence"]["slices"]) <= {"north", "south", "web", "NULL"}


def test_a_feature_that_cannot_be_had_online_is_named(judged):
    everything = [field.name for field in FEATURES]
    verdict = judged(
        learners.boosted,
        GateSpec("no_unseen_features", {}),
        GateSpec("no_unseen_features", {"served": everything}),
        GateSpec("no_unseen_features", {"served": everything[1:]}),
    )
    assert [gate["passed"] for gate in verdict.gates.values()] == [True, True, False]
    assert verdict.gates["no_unseen_features #3"]["evidence"] == {"unseen": ["orders_30d"]}


def test_judged_again_the_gates_say_the_same(judged, ledger, tmp_path):
    gates = (
        GateSpec("at_least", {"metric": "pr_auc", "value": 0.1}),
        GateSpec("slice_gap", {"column": "last_store", "at_most": 1.0}),
    )
    first = judged(learners.boosted, *gates)
    record = write_training_set(tmp_path / "sets", Task.BINARY, rows=800)
    version = ledger.get(ModelVersionRecord, "lapse", 1)
    spec = model_spec(learners.boosted, gates=gates)
    again = judge(spec, version, record, ledger=ledger, models=Artifacts(tmp_path / "models"))
    assert again.gates == first.gates and again.judged_at != first.judged_at


def test_a_damaged_bundle_is_not_judged(trained, ledger, tmp_path):
    record = write_training_set(tmp_path / "sets", Task.BINARY, rows=800)
    spec = model_spec(learners.boosted, gates=(GateSpec("calibration", {"at_most": 1.0}),))
    version = trained(spec, record)
    (tmp_path / "models" / version.path / "model.ubj").write_bytes(b"rot")
    with pytest.raises(UnsafeArtifactError):
        judge(spec, version, record, ledger=ledger, models=Artifacts(tmp_path / "models"))


def test_a_gate_that_is_none_gets_the_nearest_name(judged):
    with pytest.raises(DefinitionError, match="did you mean 'at_least'"):
        judged(learners.boosted, GateSpec("at_leest", {"metric": "roc_auc", "value": 0.7}))
