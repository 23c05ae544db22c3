"""Trainings, figures and registered models in MLflow: a SQLite file or a server."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inseam.adapters.mlflow.names import storable
from inseam.kernel.errors import NotFoundError, SettingError
from inseam.kernel.types import DataType
from inseam.ports.tracker import Training

if TYPE_CHECKING:
    from mlflow import MlflowClient

_MODEL = "model"
_RUN_TAG, _VERSION_TAG = "inseam_run", "inseam_version"
_A_CALL = 100
"""MLflow takes so many parameters or tags in one request, and ten times as many metrics."""
_VALUE_LENGTH = 5_000
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
"""By default MLflow asks a dead server for minutes. What it does not take now is offered again later."""
_TYPES = {
    DataType.BOOL: "boolean",
    DataType.INT64: "long",
    DataType.FLOAT64: "double",
    DataType.STRING: "string",
    DataType.TIMESTAMP: "datetime",
    DataType.DATE: "datetime",
}


class MlflowTracker:
    """`Tracker` on an MLflow store. ``artifacts`` is where a local store keeps files; a server keeps them itself.

    MLflow is imported on the first use: it takes seconds.
    """

    def __init__(self, uri: str, artifacts: Path) -> None:
        self._uri = uri
        self._artifacts = artifacts

    def record(self, training: Training) -> None:
        """One run of the experiment that has the model's name, found again by its tag, and one model version of it."""
        with _reachable(self._uri):
            run = self._run(training)
            self._log(run, training)
            self._log_files(run, training.files)
            self._log_model(run, training)
            self._client.set_terminated(run, "FINISHED", end_time=training.finished_at // 1_000)

    def set_alias(self, model: str, alias: str, id: str) -> None:
        with _reachable(self._uri):
            version = self._version(model, id)
            if version is None:
                raise NotFoundError(f"model:{model}", f"MLflow at {self._uri} holds no version of training {id}")
            self._client.set_registered_model_alias(model, alias, version)

    def url(self, id: str) -> str | None:
        if not self._uri.startswith("http"):
            return None
        with _reachable(self._uri):
            for experiment in self._client.search_experiments():
                run = self._find(experiment.experiment_id, id)
                if run is not None:
                    return f"{self._uri.rstrip('/')}/#/experiments/{experiment.experiment_id}/runs/{run}"
        return None

    @cached_property
    def _client(self) -> MlflowClient:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        for name, value in _PATIENCE.items():
            os.environ.setdefault(name, value)
        if self._uri.startswith("sqlite:///"):
            Path(self._uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        for chatty in ("mlflow", "alembic"):
            logging.getLogger(chatty).setLevel(logging.ERROR)
        try:
            return MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
        except MlflowException as error:
            raise SettingError("tracker", f"MLflow cannot open {self._uri}: {error}") from error

    def _experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        client = self._client
        found = client.get_experiment_by_name(name)
        if found is None:
            place = None if self._uri.startswith("http") else (self._artifacts.resolve() / name).as_uri()
            try:
                return str(client.create_experiment(name, artifact_location=place))
            except MlflowException:
                # Another process has made it since we looked.
                found = client.get_experiment_by_name(name)
                if found is None:
                    raise
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def _find(self, experiment: str, id: str) -> str | None:
        runs = self._client.search_runs([experiment], f"tags.{_RUN_TAG} = '{id}'", max_results=1)
        return str(runs[0].info.run_id) if runs else None

    def _version(self, model: str, id: str) -> str | None:
        """MLflow's own number of the version that came of a training."""
        found = self._client.search_model_versions(f"name = '{model}' and tags.{_RUN_TAG} = '{id}'")
        return str(found[0].version) if found else None

    def _run(self, training: Training) -> str:
        """The run of an earlier attempt, or a new one."""
        experiment = self._experiment(training.model)
        found = self._find(experiment, training.id)
        if found is not None:
            return found
        name = f"{training.model}@{training.version}"
        started = training.finished_at // 1_000
        made = self._client.create_run(experiment, started, tags={_RUN_TAG: training.id}, run_name=name)
        return str(made.info.run_id)

    def _log(self, run: str, training: Training) -> None:
        """In batches: a call for each number would cost ten times as much. Logged again, nothing changes."""
        from mlflow.entities import Metric, Param, RunTag

        moment = training.finished_at // 1_000
        params = [Param(name, _cut(value)) for name, value in storable(training.params).items()]
        tags = [RunTag(name, _cut(value)) for name, value in storable(training.tags).items()]
        metrics = [Metric(name, float(value), moment, 0) for name, value in storable(training.metrics).items()]
        for first in range(0, max(len(params), len(tags), len(metrics), 1), _A_CALL):
            part = slice(first, first + _A_CALL)
            self._client.log_batch(run, metrics[part], params[part], tags[part])

    def _log_files(self, run: str, directory: Path, under: str | None = None) -> None:
        if not directory.is_dir():
            # MLflow would log nothing and say nothing.
            raise FileNotFoundError(f"{directory} is not there")
        self._client.log_artifacts(run, str(directory), under)

    def _log_model(self, run: str, training: Training) -> None:
        """Log the bundle with an ``MLmodel`` file that tells MLflow its signature, and make a model version of it.

        None of MLflow's own model flavours is used: they save code. MLflow numbers versions by itself, across all
        ledgers that share it; the tag ``inseam_version`` holds ours.
        """
        from mlflow.exceptions import MlflowException

        client, name = self._client, training.model
        self._log_files(run, training.bundle, _MODEL)
        with tempfile.TemporaryDirectory() as extra:
            _mlmodel(run, name, training.signature).save(str(Path(extra) / "MLmodel"))
            client.log_artifacts(run, extra, _MODEL)
        try:
            client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        if self._version(name, training.id) is None:
            source = f"{client.get_run(run).info.artifact_uri}/{_MODEL}"
            tags = {_RUN_TAG: training.id, _VERSION_TAG: str(training.version)}
            client.create_model_version(name, source, run, tags=tags)


def _cut(value: Any) -> str:
    """A value as text, its end left out where MLflow would refuse it; the ledger holds it whole."""
    text = str(value)
    return text if len(text) <= _VALUE_LENGTH else f"{text[: _VALUE_LENGTH - 1]}…"


@contextmanager
def _reachable(uri: str) -> Iterator[None]:
    """Turns whatever MLflow raises when nobody answers into a `ConnectionError`."""
    try:
        yield
    except Exception as error:
        from requests.exceptions import RequestException

        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, RequestException):
                reason = type(cause).__name__
                raise ConnectionError(f"MLflow at {uri} cannot be reached ({reason})") from error
            cause = cause.__cause__ or cause.__context__
        raise


def _mlmodel(run_id: str, name: str, signature: Mapping[str, Mapping[str, str]]) -> Any:
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, Schema

    inputs = Schema(
        [ColSpec(_TYPES[DataType(type_)], column, required=False) for column, type_ in signature["inputs"].items()]
    )
    outputs = Schema([ColSpec(_TYPES[DataType(type_)], column) for column, type_ in signature["outputs"].items()])
    flavours = {"inseam": {"bundle": ".", "model": name}}
    return Model(artifact_path=_MODEL, run_id=run_id, signature=ModelSignature(inputs, outputs), flavors=flavours)
