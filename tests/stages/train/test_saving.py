"""What a training function may get wrong, and how it is told: by the model's name, with what to do."""

import sys

import numpy as np
import pytest

from inseam.ir.records import ModelVersionRecord
from inseam.ir.training import Task
from inseam.kernel.errors import DataError, DefinitionError, InseamError, UnsafeArtifactError
from inseam.ports.bundle import open_bundle
from inseam.stages.train.provenance import as_data
from inseam.testing import learners
from inseam.testing.training_sets import model_spec


def gives_a_dict(data, params):
    return {"a": 1}


def gives_nothing(data, params):
    return None


def is_not_fitted(data, params):
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression()


def fills_outside_the_model(data, params):
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit(data.X.fillna(0.0), data.y)


def sees_fewer_columns(data, params):
    from xgboost import XGBClassifier

    return XGBClassifier(n_estimators=2).fit(data.X.iloc[:, :2], data.y)


def exits(data, params):
    sys.exit(3)


def has_its_own_objective(data, params):
    from xgboost import XGBRegressor

    return XGBRegressor(n_estimators=2, objective=lambda y, said: (said - y, np.ones_like(said))).fit(data.X, data.y)


def branches(data, params):
    import torch

    class Branches(torch.nn.Module):
        def forward(self, rows):
            return rows.sum(1) if rows.sum() > 0 else -rows.sum(1)

    return Branches()


@pytest.mark.parametrize(
    ("function", "error", "said"),
    [
        (gives_a_dict, UnsafeArtifactError, "builtins.dict"),
        (gives_nothing, DefinitionError, "returned None"),
        (is_not_fitted, DataError, "NotFittedError"),
        (fills_outside_the_model, DataError, "contains NaN"),
        (sees_fewer_columns, DataError, "shape"),
        (exits, DefinitionError, "SystemExit: 3"),
        (learners.unsafe, UnsafeArtifactError, r"learners\.<lambda>"),
        (has_its_own_objective, UnsafeArtifactError, "XGBRegressor"),
        (branches, UnsafeArtifactError, "Branches"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_mistake_names_the_model_what_was_found_and_the_mend(trained, ledger, function, error, said):
    with pytest.raises(error, match=said) as raised:
        trained(model_spec(function))
    (problem,) = raised.value.problems
    assert problem.subject == "model:lapse" and problem.mend
    assert ledger.select(ModelVersionRecord) == []


def test_the_allow_list_is_named_where_it_refused(trained):
    with pytest.raises(InseamError, match=r"sklearn\.allowed\.TRUSTED"):
        trained(model_spec(learners.unsafe))


def changes_what_it_is_given(data, params):
    from sklearn.tree import DecisionTreeClassifier

    print("this is for whoever watches")  # noqa: T201
    data.X["new"] = 1.0
    data.y[:] = 0
    data.y[:5] = 1
    return DecisionTreeClassifier(max_depth=2, random_state=0).fit(data.X[list(data.encoding.names)], data.y)


def test_a_function_may_change_what_it_is_given_and_print(trained, capfd):
    version = trained(model_spec(changes_what_it_is_given))
    assert version.metrics["baseline"]["accuracy"] > 0.5
    assert capfd.readouterr().out == ""


def test_parameters_that_json_cannot_hold_are_kept_as_text():
    params = {"missing": float("nan"), "shape": (1, (2,)), "huge": "x" * 100_000, "größe": np.float64(2.5)}
    assert as_data(params) == {"missing": "nan", "shape": [1, [2]], "huge": "x" * 100_000, "größe": 2.5}
    assert as_data({"loss": np.mean, "depth": np.int64(3)}) == {"loss": "mean", "depth": 3}


def test_an_infinite_label_is_refused_before_it_is_learnt(trained, tmp_path):
    from dataclasses import replace

    import pyarrow as pa
    import pyarrow.parquet as pq

    from inseam.testing.training_sets import write_training_set

    record = write_training_set(tmp_path / "sets", Task.REGRESSION, rows=200)
    table = pq.read_table(record.path)
    labels = table["label"].to_numpy().copy()
    labels[0] = np.inf
    table = table.set_column(table.schema.get_field_index("label"), "label", pa.array(labels))
    pq.write_table(table, tmp_path / "inf.parquet")
    with pytest.raises(DataError, match="infinite in 1 of"):
        trained(model_spec(learners.boosted, Task.REGRESSION), replace(record, path=str(tmp_path / "inf.parquet")))


def test_a_full_disk_leaves_no_half_bundle(trained, tmp_path, monkeypatch):
    from pathlib import Path

    def full(self, content):
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        trained(model_spec(learners.boosted))
    assert list((tmp_path / "models" / "lapse").iterdir()) == []


def test_links_in_a_bundle_are_refused(trained, tmp_path):
    version = trained(model_spec(learners.boosted))
    place = tmp_path / "models" / version.path
    (place / "model.ubj").rename(tmp_path / "elsewhere")
    (place / "model.ubj").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnsafeArtifactError, match=r"links: model\.ubj"):
        open_bundle(place, version.digest)
