"""The tracker on a real MLflow store in SQLite."""

import logging

import pytest

from inseam.adapters.mlflow.tracker import MlflowTracker
from inseam.kernel.errors import SettingError


@pytest.fixture(scope="module")
def tracker(tmp_path_factory):
    place = tmp_path_factory.mktemp("mlflow")
    return MlflowTracker(f"sqlite:///{place}/deep/mlflow.db", place / "artifacts")


@pytest.fixture(scope="module")
def client(tracker):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=tracker._uri, registry_uri=tracker._uri)


def test_a_run_holds_what_was_logged(tracker, client, tmp_path):
    (tmp_path / "roc.png").write_bytes(b"png")
    with tracker.run("lapse", "first") as run:
        params = {f"p{number}": number for number in range(130)}
        run.log(params=params, metrics={"roc_auc": 0.8, "brier": 0.1}, tags={"git_commit": "abc"})
        run.log_files(tmp_path, "figures")
    found = client.get_run(run.id)
    assert found.info.status == "FINISHED" and found.info.run_name == "first"
    assert len(found.data.params) == 130 and found.data.metrics == {"roc_auc": 0.8, "brier": 0.1}
    assert found.data.tags["git_commit"] == "abc"
    assert [file.path for file in client.list_artifacts(run.id, "figures")] == ["figures/roc.png"]
    assert client.get_experiment(found.info.experiment_id).name == "lapse"


def test_a_run_that_raises_is_failed(tracker, client):
    with pytest.raises(KeyError), tracker.run("lapse", "second") as run:
        raise KeyError("x")
    assert client.get_run(run.id).info.status == "FAILED"


def test_a_version_points_to_the_bundle_and_its_alias_follows_ours(tracker, client, tmp_path):
    from mlflow.models import Model

    (tmp_path / "manifest.json").write_text("{}")
    signature = {"inputs": {"orders": "int64", "store": "string"}, "outputs": {"probability": "float64"}}
    for version in (4, 7):
        with tracker.run("lapse", "v") as run:
            run.log_model(tmp_path, name="lapse", version=version, signature=signature)
    files = {file.path for file in client.list_artifacts(run.id, "model")}
    assert files == {"model/manifest.json", "model/MLmodel"}
    tracker.set_alias("lapse", "champion", 4)
    found = client.get_model_version_by_alias("lapse", "champion")
    assert found.tags["inseam_version"] == "4"
    written = Model.load(client.download_artifacts(run.id, "model"))
    assert written.signature.inputs.input_names() == ["orders", "store"]


def test_an_alias_of_an_unknown_version_is_an_error(tracker):
    with pytest.raises(SettingError, match="no version 99"):
        tracker.set_alias("lapse", "champion", 99)


def test_mlflow_is_silent(tmp_path, capfd):
    quiet = MlflowTracker(f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "artifacts")
    with quiet.run("lapse", "first") as run:
        run.log(metrics={"roc_auc": 0.5})
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("alembic").level == logging.ERROR
