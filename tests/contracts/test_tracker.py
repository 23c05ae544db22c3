"""The tracker contract on MLflow: a SQLite file, and a server over HTTP."""

import pytest

from inseam.adapters.mlflow.tracker import MlflowTracker
from inseam.testing.contracts.tracker import Found, TrackerContract
from inseam.testing.mlflow_server import MlflowServer
from inseam.testing.tracking import ListTracker


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory):
    place = tmp_path_factory.mktemp("mlflow")
    return MlflowTracker(f"sqlite:///{place}/deep/mlflow.db", place / "artifacts")


@pytest.fixture(scope="module")
def on_server(tmp_path_factory):
    place = tmp_path_factory.mktemp("mlflow")
    server = MlflowServer(place).start()
    yield MlflowTracker(server.uri, place / "unused")
    server.kill()


class _Mlflow(TrackerContract):
    @pytest.fixture(autouse=True)
    def connected(self, tracker):
        from mlflow import MlflowClient

        self.client = MlflowClient(tracking_uri=tracker._uri, registry_uri=tracker._uri)

    def found(self, id):
        experiments = [one.experiment_id for one in self.client.search_experiments()]
        runs = self.client.search_runs(experiments, f"tags.inseam_run = '{id}'")
        run = runs[0]
        versions = self.client.search_model_versions(f"tags.inseam_run = '{id}'")
        paths = frozenset(self._paths(run.info.run_id))
        assert {version.run_id for version in versions} == {run.info.run_id}
        for name in run.data.metrics:
            assert len(self.client.get_metric_history(run.info.run_id, name)) == 1
            if len(run.data.metrics) > 10:
                break
        return Found(
            runs=len(runs),
            versions=len(versions),
            is_finished=run.info.status == "FINISHED",
            params=run.data.params,
            metrics=run.data.metrics,
            tags=run.data.tags,
            files=frozenset(path for path in paths if not path.startswith("model/")),
            bundle=frozenset(path.removeprefix("model/") for path in paths if path.startswith("model/")),
        )

    def aliased(self, model, alias):
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_model_version_by_alias(model, alias).tags["inseam_run"]
        except MlflowException:
            return None

    def _paths(self, run, under=None):
        for one in self.client.list_artifacts(run, under):
            if one.is_dir:
                yield from self._paths(run, one.path)
            else:
                yield one.path


class TestMlflowOnSqlite(_Mlflow):
    @pytest.fixture
    def tracker(self, on_sqlite):
        return on_sqlite


@pytest.mark.slow
class TestMlflowServer(_Mlflow):
    @pytest.fixture
    def tracker(self, on_server):
        return on_server


class TestListTracker(TrackerContract):
    """The tests' own tracker is held to the same rules, as far as it keeps things."""

    @pytest.fixture
    def tracker(self):
        self.held = ListTracker()
        return self.held

    def found(self, id):
        one = self.held.trainings[id]
        bundle = frozenset(path.name for path in one.bundle.iterdir())
        params = {name: str(value) for name, value in one.params.items()}
        return Found(1, 1, True, params, one.metrics, one.tags, frozenset(self.held.files[id]), bundle)

    def aliased(self, model, alias):
        return self.held.aliases.get((model, alias))
