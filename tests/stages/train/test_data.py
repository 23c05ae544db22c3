import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inseam.ir.training import Task
from inseam.kernel.errors import DataError, NotFoundError
from inseam.stages.train.data import MAX_CATEGORIES, learn_encoding, read_test_part, read_train_part
from inseam.testing import learners
from inseam.testing.training_sets import KEYS, model_spec

SPEC = model_spec(learners.linear)


def _write(path, **changes):
    columns = {
        "customer_id": [1, 2, 3, 4, 5],
        "event_time": pa.array([10, 20, 30, 40, 50], pa.timestamp("us", tz="UTC")),
        "orders_30d": [1, None, 3, 4, 5],
        "spend_30d": [1.5, None, 0.0, 2.0, 2.0],
        "spend_365d": [1.0, 2.0, 3.0, 4.0, 5.0],
        "last_store": ["b", "a", "b", None, "unseen"],
        "is_member": [True, False, None, True, False],
        "label": [True, False, None, True, False],
        "part": ["train", "train", "train", "train", "test"],
    } | changes
    pq.write_table(pa.table(columns), path)
    return str(path)


def test_features_are_numbers_and_null_is_nan(tmp_path):
    data = read_train_part(SPEC, _write(tmp_path / "set.parquet"), KEYS)
    assert (data.X.dtypes == np.float64).all()
    # The third row has no label.
    np.testing.assert_array_equal(data.X["orders_30d"], [1, np.nan, 4])
    # Among the labelled rows both stores occur once, so their names decide: a is 0, b is 1.
    np.testing.assert_array_equal(data.X["last_store"], [1, 0, np.nan])
    np.testing.assert_array_equal(data.X["is_member"], [1, 0, 1])
    np.testing.assert_array_equal(data.y, [1, 0, 1])
    assert data.categorical == ["last_store"] and data.feature_types == ["q", "q", "q", "c", "q"]
    assert data.keys["customer_id"].tolist() == [1, 2, 4]
    assert data.X_filled.dtype == np.float32 and not np.isnan(data.X_filled).any()


def test_a_category_unseen_in_training_is_nan(tmp_path):
    path = _write(tmp_path / "set.parquet")
    data = read_train_part(SPEC, path, KEYS)
    test = read_test_part(SPEC, path, KEYS, data.classes)
    assert np.isnan(data.encoding.matrix(test.rows.columns)[0, 3])


def test_categories_stand_by_falling_count_then_name(tmp_path):
    many = [f"s{number:04}" for number in range(MAX_CATEGORIES + 50)]
    stores = np.array(many + ["zz"] * 3 + ["s0001"], dtype=object)
    size = len(stores)
    columns = {name: np.ones(size) for name in ("orders_30d", "spend_30d", "spend_365d", "is_member")}

    class Rows:
        def __init__(self):
            self.columns = columns | {"last_store": stores}

    categories = learn_encoding(SPEC, Rows()).columns[3].categories
    assert categories[:3] == ("zz", "s0001", "s0000") and len(categories) == MAX_CATEGORIES


@pytest.mark.parametrize(
    ("task", "labels", "said"),
    [
        (Task.BINARY, [True, True, True, True, False], "1 classes"),
        (Task.BINARY, [0, 1, 2, 1, 0], "3 classes"),
        (Task.MULTICLASS, [0.5, 1.0, 1.0, 1.0, 1.0], "no class"),
        (Task.BINARY, pa.nulls(5, pa.bool_()), "no labelled row"),
    ],
)
def test_labels_that_do_not_fit_the_task_are_refused(tmp_path, task, labels, said):
    path = _write(tmp_path / "set.parquet", label=labels)
    with pytest.raises(DataError, match=said):
        read_train_part(model_spec(learners.linear, task), path, KEYS)


def test_a_label_that_is_no_class_of_training_is_left_out_and_counted(tmp_path):
    path = _write(tmp_path / "set.parquet", label=["x", "y", "x", "y", "z"])
    spec = model_spec(learners.linear, Task.MULTICLASS)
    data = read_train_part(spec, path, KEYS)
    assert read_test_part(spec, path, KEYS, data.classes).dropped == 1


def test_a_set_without_a_feature_says_which(tmp_path):
    path = tmp_path / "set.parquet"
    pq.write_table(pq.read_table(_write(path)).drop_columns(["spend_30d"]), path)
    with pytest.raises(DataError, match="no column spend_30d"):
        read_train_part(SPEC, str(path), KEYS)


def test_a_set_that_is_not_there_is_not_found(tmp_path):
    with pytest.raises(NotFoundError):
        read_train_part(SPEC, str(tmp_path / "nothing"), KEYS)
