"""What is MLflow's own: silence, its signature file, and errors that mean that nobody answers."""

import logging
import socket

import pytest

from inseam.adapters.mlflow.names import storable
from inseam.adapters.mlflow.tracker import MlflowTracker
from inseam.ports.tracker import Training


@pytest.fixture
def training(tmp_path):
    (tmp_path / "bundle").mkdir()
    (tmp_path / "files").mkdir()
    (tmp_path / "bundle" / "manifest.json").write_text("{}")
    signature = {"inputs": {"orders": "int64", "store": "string"}, "outputs": {"probability": "float64"}}
    places = {"bundle": tmp_path / "bundle", "files": tmp_path / "files"}
    return Training("id-1", "lapse", 4, {"depth": "d" * 9_000}, {"auc": 0.5}, {}, signature, **places, finished_at=0)


def test_mlflow_is_silent_and_told_what_it_needs(training, tmp_path, capfd):
    from mlflow import MlflowClient
    from mlflow.models import Model

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    tracker = MlflowTracker(uri, tmp_path / "artifacts")
    tracker.record(training)
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("alembic").level == logging.ERROR
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    (version,) = client.search_model_versions("name = 'lapse'")
    assert version.tags["inseam_version"] == "4"
    run = client.get_run(version.run_id)
    assert run.info.run_name == "lapse@4" and run.data.params["depth"].endswith("d…")
    written = Model.load(client.download_artifacts(version.run_id, "model"))
    assert written.signature.inputs.input_names() == ["orders", "store"]


def test_nobody_answering_is_a_connection_error(training, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{free.getsockname()[1]}"
    tracker = MlflowTracker(uri, tmp_path)
    for call in (lambda: tracker.record(training), lambda: tracker.set_alias("lapse", "champion", "id-1")):
        with pytest.raises(ConnectionError, match=uri):
            call()


def test_names_are_made_fit_and_stay_apart():
    names = {"a:b": 1, "a?b": 2, "": 3, "/": 4, "größe": 5, "x" * 300: 6, "x" * 299 + "y": 7}
    found = storable(names)
    assert sorted(found.values()) == [1, 2, 3, 4, 5, 6, 7]
    assert "größe" in found and max(map(len, found)) <= 250
