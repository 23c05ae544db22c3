"""Runs, figures and registered models in MLflow: a SQLite file or a server."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inseam.kernel.errors import SettingError
from inseam.kernel.types import DataType

if TYPE_CHECKING:
    from mlflow import MlflowClient

_MODEL = "model"
_VERSION_TAG = "inseam_version"
_TAGS_A_CALL = 100
_VALUE_LENGTH = 5_000
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

    @contextmanager
    def run(self, experiment: str, name: str) -> Iterator[MlflowRun]:
        client = self._client
        made = client.create_run(self._experiment(experiment), run_name=name)
        try:
            yield MlflowRun(client, made.info.run_id)
        except BaseException:
            client.set_terminated(made.info.run_id, "FAILED")
            raise
        client.set_terminated(made.info.run_id, "FINISHED")

    def set_alias(self, name: str, alias: str, version: int) -> None:
        found = self._client.search_model_versions(f"name = '{name}' and tags.{_VERSION_TAG} = '{version}'")
        if not found:
            raise SettingError(f"model {name}", f"MLflow holds no version {version} of it")
        self._client.set_registered_model_alias(name, alias, str(found[0].version))

    def url(self, run_id: str) -> str | None:
        if not self._uri.startswith("http"):
            return None
        return f"{self._uri.rstrip('/')}/#/experiments/{self._client.get_run(run_id).info.experiment_id}/runs/{run_id}"

    @cached_property
    def _client(self) -> MlflowClient:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
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


class MlflowRun:
    """`TrackedRun` of one MLflow run."""

    def __init__(self, client: MlflowClient, id: str) -> None:
        self._client = client
        self.id = id

    def log(
        self,
        *,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """One batch: a call for each number would cost ten times as much."""
        from mlflow.entities import Metric, Param, RunTag
        from mlflow.utils.time import get_current_time_millis

        now = get_current_time_millis()
        rows = [Metric(name, float(value), now, 0) for name, value in (metrics or {}).items()]
        names = [Param(name, str(value)[:_VALUE_LENGTH]) for name, value in (params or {}).items()]
        labels = [RunTag(name, str(value)[:_VALUE_LENGTH]) for name, value in (tags or {}).items()]
        blocks = range(0, max(len(names), len(labels), 1), _TAGS_A_CALL)
        for first in blocks:
            part = slice(first, first + _TAGS_A_CALL)
            self._client.log_batch(self.id, rows if first == 0 else [], names[part], labels[part])

    def log_files(self, directory: Path, under: str) -> None:
        self._client.log_artifacts(self.id, str(directory), under)

    def log_model(self, directory: Path, *, name: str, version: int, signature: Mapping[str, Any]) -> None:
        """Log the bundle with an ``MLmodel`` file that tells MLflow its signature, and make a model version of it.

        None of MLflow's own model flavours is used: they save code. MLflow numbers versions by itself; the tag
        ``inseam_version`` holds ours.
        """
        from mlflow.exceptions import MlflowException

        self._client.log_artifacts(self.id, str(directory), _MODEL)
        with tempfile.TemporaryDirectory() as extra:
            _mlmodel(self.id, name, signature).save(str(Path(extra) / "MLmodel"))
            self._client.log_artifacts(self.id, extra, _MODEL)
        try:
            self._client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        source = f"{self._client.get_run(self.id).info.artifact_uri}/{_MODEL}"
        self._client.create_model_version(name, source, self.id, tags={_VERSION_TAG: str(version)})


def _mlmodel(run_id: str, name: str, signature: Mapping[str, Any]) -> Any:
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, Schema

    inputs = Schema(
        [ColSpec(_TYPES[DataType(type_)], column, required=False) for column, type_ in signature["inputs"].items()]
    )
    outputs = Schema([ColSpec(_TYPES[DataType(type_)], column) for column, type_ in signature["outputs"].items()])
    flavours = {"inseam": {"bundle": ".", "model": name}}
    return Model(artifact_path=_MODEL, run_id=run_id, signature=ModelSignature(inputs, outputs), flavors=flavours)
